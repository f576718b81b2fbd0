using Attune.Guidance;

namespace Attune.Caching;

/// <summary>The steps in which all blocks run are given; in the others none do.</summary>
/// <param name="every">
/// 1 or more: the blocks run in every so manyth step.
/// </param>
/// <param name="before">So many steps at the beginning are computed, whatever they are.</param>
/// <param name="after">From this step on all are computed, counted from 0.</param>
internal sealed class StaticCache(int every, int before, int after) : StackCache
{
    private protected override bool Computes(StepPoint at, bool isKnown) =>
        !isKnown || at.Index < before || at.Index >= after || (at.Index - before) % every == every - 1;
}

using Attune.Attention;
using Attune.Caching;
using Attune.Guidance;

namespace Attune.Generation;

/// <summary>
/// The step caches of one run, one for each kind of pass. A pass that is no longer like the one before it is computed afresh: where rules
/// begin or cease to act inside it, and where it did not run in the step before. A pass that leaves out blocks by itself is not cached.
/// </summary>
internal sealed class StepCaches(StepCacheChoice? choice) : IDisposable
{
    private readonly Dictionary<(PassKinds Kind, GuidanceRule? Rule), Entry> _entries = [];

    /// <summary>The cache of a pass, which begins; null for none.</summary>
    /// <param name="at">The step.</param>
    /// <param name="kind">Which pass; <see cref="PassKinds.None"/> is that for the prompt.</param>
    /// <param name="rule">The rule whose perturbed pass it is, or null.</param>
    /// <param name="expert">Which network predicts; what another one left is of no use.</param>
    /// <param name="inside">The rules that act inside the pass.</param>
    /// <param name="steering">The steering without a cache.</param>
    public StepCache? Of(
        StepPoint at, PassKinds kind, GuidanceRule? rule, int expert, IReadOnlyList<GuidanceRule> inside, Steering steering)
    {
        if (choice == null || steering.Blocks != null)
            return null;
        if (!_entries.TryGetValue((kind, rule), out var entry))
            _entries[(kind, rule)] = entry = new Entry(choice.Begin());
        if (entry.Step < at.Index - 1 || entry.Expert != expert || !entry.Inside.SequenceEqual(inside))
            entry.Cache.Reset();
        (entry.Step, entry.Expert, entry.Inside) = (at.Index, expert, inside);
        entry.Cache.Begin(at);
        return entry.Cache;
    }

    /// <summary>What the caches did in a step.</summary>
    public IReadOnlyList<CachedPass> DoneIn(int step) =>
    [
        .. _entries.Where(entry => entry.Value.Step == step)
            .Select(
                entry => new CachedPass(entry.Key.Kind, entry.Key.Rule, entry.Value.Cache.Measure, entry.Value.Cache.Computed)
                {
                    Magnitude = entry.Value.Cache.Magnitude,
                }),
    ];

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var entry in _entries.Values)
            entry.Cache.Dispose();
    }

    private sealed class Entry(StepCache cache)
    {
        public StepCache Cache => cache;

        public int Step { get; set; } = int.MinValue;

        public int Expert { get; set; }

        public IReadOnlyList<GuidanceRule> Inside { get; set; } = [];
    }
}

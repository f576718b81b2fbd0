using Attune.Attention;
using Attune.Tensors;

namespace Attune.Guidance;

/// <summary>
/// A way to steer generation. In attention space a rule is a base (<see cref="IAttentionBase"/>) or a correction (<see
/// cref="IAttentionCorrection"/>); in prediction space it combines whole passes (<see cref="IPredictionRule"/>). A rule that takes
/// something away in a pass of its own (<see cref="PassKinds.Perturbed"/>) acts there as a base or a block policy (<see
/// cref="IBlockPolicy"/>) and combines the passes as a prediction rule. A rule is immutable data; what it remembers during a run lives in
/// the run (<see cref="PredictionFacts.State"/>).
/// </summary>
public abstract record GuidanceRule
{
    /// <summary>
    /// The rule's names and parameters in texts. A rule that states none goes by its type's name and has the parameters of all rules.
    /// </summary>
    public virtual RuleForm Form => new RuleForm<GuidanceRule>(GetType().Name);

    /// <summary>In which steps the rule acts; all by default.</summary>
    public StepRange Steps { get; init; } = StepRange.All;

    /// <summary>At which attention layers, or on which blocks, the rule acts; all by default.</summary>
    public LayerSelector Layers { get; init; } = LayerSelector.All;

    /// <summary>Whether <see cref="Layers"/> mean anything: a rule that acts on predictions alone has none.</summary>
    internal bool HasLayers => ActsInLayers(GetType());

    internal static bool ActsInLayers(Type rule) => rule.IsAssignableTo(typeof(IAttentionBase))
        || rule.IsAssignableTo(typeof(IAttentionCorrection)) || rule.IsAssignableTo(typeof(IBlockPolicy))
        || rule.IsAssignableTo(typeof(ISkipConnection));

    /// <summary>Whether the rule reads the negative prompt in attention.</summary>
    public virtual bool ReadsNegativeText => false;

    /// <summary>The passes that the rule needs beside the one for the prompt.</summary>
    public virtual PassKinds Needs => PassKinds.None;

    /// <summary>
    /// Whether the parameters make the rule do nothing, so that it need not be evaluated: whether all that have a neutral value have it.
    /// </summary>
    public virtual bool IsNeutral => Form.IsNeutral(this);

    /// <summary>Whether the rule wants the latents forked in single-stream blocks (<see cref="TokenKind.NegativeLatent"/>).</summary>
    public virtual bool ForksLatents => false;

    /// <summary>Whether the rule wants the negative text modulated with the prompt's pooled embedding.</summary>
    public virtual bool UsesPromptPooled => false;

    /// <summary>Whether the rule acts at attention layers of this kind: where there is text, unless a rule says otherwise.</summary>
    public virtual bool ActsAt(AttentionKind kind) => kind is AttentionKind.Cross or AttentionKind.Joint;

    /// <summary>Whether the rule acts in a step.</summary>
    public virtual bool ActsIn(StepPoint point) => Steps.Contains(point);

    /// <summary>Checks that every parameter lies in its range. A rule whose parameters depend on each other checks that too.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A parameter is out of its range; the message names it.</exception>
    public virtual void Validate()
    {
        foreach (var parameter in Form.Parameters)
            parameter.Validate(this);
    }
}

/// <summary>The passes of a step beside the one for the prompt.</summary>
[Flags]
public enum PassKinds
{
    /// <summary>No other pass.</summary>
    None = 0,

    /// <summary>A plain pass for the negative prompt.</summary>
    Negative = 1,

    /// <summary>A plain pass for the empty prompt.</summary>
    Empty = 2,

    /// <summary>A pass for the prompt in which the rule takes something away; no correction acts in it.</summary>
    Perturbed = 4,
}

/// <summary>Where a prediction rule stands: one contrast, then any number of terms, then one normalisation.</summary>
public enum PredictionStage
{
    /// <summary>Combines the predictions for prompt and negative prompt.</summary>
    Contrast,

    /// <summary>Adds a difference of predictions.</summary>
    Term,

    /// <summary>Changes the scale of the sum.</summary>
    Normalisation,
}

/// <summary>A rule on whole predictions.</summary>
public interface IPredictionRule
{
    /// <summary>Where the rule stands among others.</summary>
    PredictionStage Stage { get; }

    /// <summary>The guided prediction after this rule.</summary>
    /// <param name="guided">The prediction so far: at first the one for the prompt. Must not be written to.</param>
    /// <param name="facts">The single passes.</param>
    /// <returns>A tensor of the current scope, or <paramref name="guided"/> itself.</returns>
    Tensor Apply(Tensor guided, PredictionFacts facts);
}

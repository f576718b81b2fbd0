using System.Text;
using System.Text.Json.Nodes;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Which schedulers fit which kind of noise. It goes by what a scheduler computes under its configuration, never by its class: solvers of
/// diffusion do flow matching when their configuration says so.
/// </summary>
internal static class SchedulerFit
{
    /// <summary>What makes a solver one of flow matching.</summary>
    private const string FlowKeys = "use_flow_sigmas=true,prediction_type=flow_prediction";

    /// <summary>The classes that fit a kind of noise as they are, by their defaults.</summary>
    public static IReadOnlyList<string> ClassesOf(NoiseKind kind) =>
        [.. Scheduler.SupportedClasses.Where(name => Plain(name).Noise == kind).Order(StringComparer.Ordinal)];

    /// <summary>The classes that fit flow matching when their configuration says so.</summary>
    public static IReadOnlyList<string> FlowSolvers { get; } =
    [
        .. Scheduler.SupportedClasses.Where(name => Plain(name) is SolverScheduler).Order(StringComparer.Ordinal),
    ];

    /// <summary>Why a scheduler does not fit; null where it does.</summary>
    /// <param name="scheduler">The scheduler.</param>
    /// <param name="kinds">The kinds of noise that fit.</param>
    /// <param name="model">What messages call the model: its class.</param>
    public static string? Refusal(Scheduler scheduler, IReadOnlyList<NoiseKind> kinds, string model)
    {
        if (scheduler.Noise is { } kind && kinds.Contains(kind))
            return null;
        string what = scheduler.Noise is { } other ? $"it is made for {Words(other)}"
            : "its configuration mixes two kinds of noise, diffusion and flow matching (use_flow_sigmas, prediction_type and the spacing "
                + "of sigmas must go together)";
        string fitting = string.Join(", ", kinds.SelectMany(ClassesOf));
        string hint = kinds.Contains(NoiseKind.FlowMatching) ? $"; and {string.Join(", ", FlowSolvers)} with {FlowKeys}" : "";
        return $"{scheduler.ClassName} does not fit {model}: {what}, and the model was trained with "
            + $"{string.Join(" or ", kinds.Select(Words))}. Schedulers that fit: {fitting}{hint}.";
    }

    /// <summary>
    /// The class that a short name means for a kind of noise: euler, heun and lcm have a form for diffusion and one for flow matching.
    /// </summary>
    public static string ForNoise(string className, NoiseKind kind) =>
        kind == NoiseKind.FlowMatching && Scheduler.SupportedClasses.Contains("FlowMatch" + className)
            ? "FlowMatch" + className : className;

    private static string Words(NoiseKind kind) => kind switch
    {
        NoiseKind.Diffusion => "diffusion",
        NoiseKind.FlowMatching => "flow matching",
        NoiseKind.Edm => "EDM (the scaling of Karras et al.)",
        _ => "consistency in trigonometric flow",
    };

    /// <summary>
    /// Why no configuration makes a class fit; null where one may. It is asked before the checkpoint's configuration is read, which a class
    /// of another kind of noise may not even understand.
    /// </summary>
    public static string? RefusalOf(string? className, IReadOnlyList<NoiseKind> kinds, string model) =>
        className == null || Plain(className) is SolverScheduler ? null : Refusal(Plain(className), kinds, model);

    private static Scheduler Plain(string className) => Scheduler.From(
        ModelConfig.Parse(className, Encoding.UTF8.GetBytes(new JsonObject { ["_class_name"] = className }.ToJsonString())));
}

using Attune.Attention;
using Attune.Models;
using Attune.Models.Flux;

namespace Attune.Cli.Verification;

internal static partial class CaseRunner
{
    private static void RunComponent(GoldenCase golden, CaseResults results)
    {
        switch (golden.Class)
        {
            case "FluxTransformer2DModel": RunFluxTransformer(golden, results); break;
            default: throw new UnsupportedCaseException($"class {golden.Class}");
        }
    }

    private static void RunFluxTransformer(GoldenCase golden, CaseResults results)
    {
        using var model = FluxTransformer.Load(golden.Checkpoint);
        var conditioning = new Conditioning(golden.Input("encoder_hidden_states"), golden.Input("pooled_projections"));
        float? guidance = golden.HasInput("guidance") ? golden.Input("guidance").Span[0] : null;
        var input = new FluxInput(golden.Input("hidden_states"), golden.Input("img_ids"), golden.Input("timestep").ToArray(), conditioning, GuidanceScale: guidance);
        results.Check("sample", model.Predict(input, Steering.Plain));
    }
}

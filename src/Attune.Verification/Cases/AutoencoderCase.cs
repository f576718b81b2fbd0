using Attune.Autoencoders;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Verification;

/// <summary>One direction of a causal video autoencoder; the case's videos and latents are channels first.</summary>
internal sealed class CausalAutoencoderCase : ComponentCase
{
    public override IReadOnlyCollection<string> Arguments { get; } = ["method"];

    protected override IReadOnlyCollection<string> Inputs { get; } = ["image", "video", "latents"];

    public override bool Takes(string? className) => className is "AutoencoderKLQwenImage" or "AutoencoderKLWan";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = Supported(() => AutoencoderKlCausal.Load(source));
        var pieces = new Dictionary<string, int>();
        bool single = run.Input(run.Golden.Text("method") == "decode" ? "latents" : run.Has("video") ? "video" : "image").Shape[2] == 1;
        void Check(string name, Tensor value) => run.Check(name, value.Permute(0, 4, 1, 2, 3));
        Tensor Input(string name) => run.Input(name).Permute(0, 2, 3, 4, 1).Clone();
        if (run.Golden.Text("method") == "decode")
        {
            Check(run.Wants("video") ? "video" : "image", model.Decode(Input("latents"), watch: Watch));
            return;
        }
        var video = Input(run.Has("video") ? "video" : "image");
        var (mean, logVariance) = model.Encode(video, watch: Watch);
        Check("mean", mean);
        Check("logvar", logVariance);

        // What goes through in several pieces is numbered by piece.
        void Watch(string name, Tensor value)
        {
            int piece = pieces[name] = pieces.GetValueOrDefault(name, -1) + 1;
            Check(FormattableString.Invariant($"{name}.piece{piece}"), value);
            if (single)
                Check(name, value);
        }
    }
}

/// <summary>One direction of the autoencoder of Qwen-Image-2.1; the case's pictures and latents are channels first, of one
/// frame.</summary>
internal sealed class QwenImage21AutoencoderCase : ComponentCase
{
    public override IReadOnlyCollection<string> Arguments { get; } = ["method"];

    protected override IReadOnlyCollection<string> Inputs { get; } = ["image", "latents"];

    public override bool Takes(string? className) => className == "AutoencoderKLQwenImage21";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = Supported(() => AutoencoderKlQwenImage21.Load(source));
        void Check(string name, Tensor value)
        {
            var first = value.Permute(0, 3, 1, 2);
            run.Check(name, first.Reshape(first.Shape[0], first.Shape[1], 1, first.Shape[2], first.Shape[3]));
        }

        Tensor Input(string name)
        {
            var x = run.Input(name);
            return x.Reshape(x.Shape[0], x.Shape[1], x.Shape[3], x.Shape[4]).Permute(0, 2, 3, 1).Clone();
        }

        if (run.Golden.Text("method") == "decode")
        {
            Check("image", model.Decode(Input("latents"), Check));
            return;
        }
        var posterior = model.Encode(Input("image"), Check);
        Check("mean", posterior.Mean);
        Check("logvar", posterior.LogVariance);
    }
}

/// <summary>One direction of an autoencoder; the case's images and latents are channels first.</summary>
internal sealed class AutoencoderCase : ComponentCase
{
    public override IReadOnlyCollection<string> Arguments { get; } = ["method"];

    protected override IReadOnlyCollection<string> Inputs { get; } = ["image", "latents"];

    public override bool Takes(string? className) => className is "AutoencoderKL" or "AutoencoderKLFlux2" or "AutoencoderTiny";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        bool decode = run.Golden.Text("method") switch
        {
            "decode" => true,
            "encode" => false,
            var other => throw new UnsupportedCaseException($"method {other}"),
        };
        var input = run.Input(decode ? "latents" : "image").Permute(0, 2, 3, 1);
        void Check(string name, Tensor value) => run.Check(name, value.Permute(0, 3, 1, 2));
        void CheckPosterior(DiagonalGaussian posterior)
        {
            Check("mean", posterior.Mean);
            Check("logvar", posterior.LogVariance);
        }

        if (run.Golden.Class == "AutoencoderKL")
        {
            using var model = AutoencoderKl.Load(source);
            if (decode)
                Check("image", model.Decode(input));
            else
                CheckPosterior(model.Encode(input));
        }
        else if (run.Golden.Class == "AutoencoderKLFlux2")
        {
            using var model = AutoencoderKlFlux2.Load(source);
            if (decode)
                Check("image", model.Decode(input));
            else
                CheckPosterior(model.Encode(input));
        }
        else
        {
            using var model = AutoencoderTiny.Load(source);
            var output = decode ? model.Decode(input) : model.Encode(input);
            Check(decode ? "image" : "latents", output);
            if (run.Wants("scale_latents"))
                Check("scale_latents", model.ToUnitRange(output));
        }
    }
}

/// <summary>One direction of a deep-compression autoencoder; the case's images and latents are channels first.</summary>
internal sealed class DcAutoencoderCase : ComponentCase
{
    public override IReadOnlyCollection<string> Arguments { get; } = ["method"];

    protected override IReadOnlyCollection<string> Inputs { get; } = ["image", "latents"];

    public override bool Takes(string? className) => className == "AutoencoderDC";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = AutoencoderDC.Load(source);
        void Check(string name, Tensor value) => run.Check(name, value.Permute(0, 3, 1, 2));
        Tensor Input(string name) => run.Input(name).Permute(0, 2, 3, 1);
        switch (run.Golden.Text("method"))
        {
            case "decode":
                Check("image", model.Decode(Input("latents"), Check));
                break;
            case "encode":
                Check("latent", model.Encode(Input("image"), Check));
                break;
            case var other:
                throw new UnsupportedCaseException($"method {other}");
        }
    }
}

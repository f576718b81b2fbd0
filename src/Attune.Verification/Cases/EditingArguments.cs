using System.Text.Json;
using Attune.Autoencoders;
using Attune.Generation;
using Attune.Imaging;
using Attune.Latents;
using Attune.Models;
using Attune.Tensors;

namespace Attune.Verification;

/// <summary>What cases of pipelines with pictures state beyond the others, and what they compare.</summary>
internal static class EditingArguments
{
    private const string Drawn = "draws";

    /// <summary>The names of arguments.</summary>
    public static IReadOnlyList<string> Names { get; } =
        
        [
            Drawn, "components", "padding_mask_crop", "crop", "max_area", "auto_resize", "output_size", "reference_size", "vae_area",
            "condition_area", "positions",
        ];

    /// <summary>The names of inputs.</summary>
    public static IReadOnlyList<string> Inputs { get; } = ["mask", "masked_posterior_noise", "control_posterior_noise"];

    /// <summary>A request with the pictures of a case: the class of its pipeline says what each of them is for.</summary>
    public static GenerationRequest WithPictures(GoldenCase golden, Comparison results, GenerationRequest request)
    {
        var images = CasePictures.All(golden);
        string name = golden.Class ?? "";
        bool Is(string part) => name.Contains(part, StringComparison.Ordinal);
        var given = request.Images;
        if (Is("Control"))
            given = given with { Control = images };
        else if (images.Count > 0 && (Is("Img2Img") || Is("Inpaint") || Is("Fill")))
            given = given with { Initial = images[0], References = images[1..] };
        else
            given = given with { References = images };
        if (golden.HasInput("mask"))
            given = given with { Mask = CasePictures.Of(golden, "mask") };
        if (golden.OptionalDouble("padding_mask_crop") is { } padding)
            given = Cropped(golden, results, request, given with { MaskPadding = (int)padding });
        if (golden.Arguments.TryGetProperty("auto_resize", out var auto))
            request = Kontext(golden, results, request, auto.GetBoolean(), ref given);
        given = given with
        {
            ReferenceSize = SideOf(golden, "vae_area") ?? given.ReferenceSize, SightSize = SideOf(golden, "condition_area"),
        };
        bool inALine = golden.OptionalText("positions") switch
        {
            null or "rows-and-columns" => false,
            "in-a-line" => true,
            var other => throw new UnsupportedCaseException($"positions {other}"),
        };
        return request with { Images = given, PicturesInALine = inALine };
    }

    /// <summary>
    /// The side of the square that is nearest to an area: sizes are rounded to 32 pixels, and what the model sees of the pictures is
    /// compared.
    /// </summary>
    private static int? SideOf(GoldenCase golden, string key) =>
        golden.OptionalDouble(key) is { } area ? (int)Math.Round(Math.Sqrt(area)) : null;

    /// <summary>Every draw is the next of the seed's generator.</summary>
    public static void CheckDraws(GoldenCase golden, Comparison results)
    {
        if (golden.Texts(Drawn) is not { } names)
            return;
        using var scope = new TensorScope();
        var random = new TorchRandom(unchecked((ulong)golden.Arguments.GetProperty("seed").GetInt64()));
        foreach (string name in names)
        {
            float[] given = golden.Input(name).ToArray();
            var drawn = Tensor.Empty(golden.Device, golden.InputShape(name));
            random.Normal(drawn);
            float largest = drawn.ToArray().Zip(given).Max(pair => Math.Abs(pair.First - pair.Second));
            results.Require(largest <= 1e-6f, FormattableString.Invariant($"{name}: what the seed gives differs by {largest}"));
        }
    }

    /// <summary>What a run begins with.</summary>
    public static void Check(GoldenCase golden, Comparison results, RunStart start, Denoiser denoiser)
    {
        if (start.Initial is { } initial)
            results.Check("picture", initial.Affine(2, -1).Permute(0, 3, 1, 2));
        else if (start.Pictures.Count == 1)
            results.Check("picture", start.Pictures[0].ToTensor(start.Latents.Device).Affine(2, -1).Permute(0, 3, 1, 2));
        if (start.LatentMask is { } mask)
            results.Check("mask", PipelineCase.AsReference(mask));
        if (start.Beside is { } beside && start.Mask != null)
        {
            // UNets read [mask, picture], FLUX.1 Fill reads [picture, mask].
            int channels = start.Latents.Shape[^1];
            bool first = beside.Shape.Rank == 4;
            int rest = beside.Shape[^1] - channels;
            results.Check("mask", PipelineCase.AsReference(beside.Slice(^1, first ? 0 : channels, rest).Clone()));
            results.Check("masked_image_latents", PipelineCase.AsReference(beside.Slice(^1, first ? rest : 0, channels).Clone()));
        }
        else if (results.Wants("masked_image_latents"))
        {
            results.Check("masked_image_latents", Masked(golden, start).Permute(0, 3, 1, 2));
        }
        if (start.References.Count > 0)
        {
            results.Check("image_latents", TensorOperations.Concatenate(1, [.. start.References.Select(one => one.Latents)]));
            if (results.Wants("image_ids"))
            {
                // Some pipelines state those of references alone.
                var own = denoiser.PositionsOf(start.Grid, [.. start.References.Select(reference => reference.Grid)]);
                int[] wanted = [.. own.Skip(own.Count - golden.ExpectedShape("image_ids")[0]).SelectMany(ids => ids)];
                if (golden.IsIntegerOutput("image_ids"))
                    results.CheckIntegers("image_ids", [.. wanted.Select(id => (long)id)]);
                else
                    results.Check("image_ids", [.. wanted.Select(id => (float)id)]);
            }
        }
        else if (start.ImageLatents is { } image && results.Wants("image_latents"))
        {
            results.Check("image_latents", LatentPatches.Pack(image));
        }
        if (golden.Arguments.TryGetProperty("reference_size", out var size) && size.ValueKind != JsonValueKind.Null)
        {
            results.Require(
                start.Pictures.Count == 1
                    && (start.Pictures[0].Height, start.Pictures[0].Width) == (size[0].GetInt32(), size[1].GetInt32()),
                "the reference has another size");
        }
    }

    /// <summary>The picture as the reference decodes it.</summary>
    public static Tensor Decode(GoldenCase golden, DenoisingStep step)
    {
        if (golden.Class != "StableDiffusion3InpaintPipeline")
            return step.DecodeTensor();

        // diffusers 0.42.1 forgets the shift of the latents in this pipeline alone: what it decodes is decoded here, too.
        using var scope = new TensorScope();
        using var vae = AutoencoderKl.Load(Path.Combine(golden.Checkpoint, "vae"), golden.Device);
        var shift = vae.Denormalize(Tensor.Zeros(golden.Device, step.Latents.Shape));
        return TensorScope.Detach(vae.Decode(vae.Denormalize(step.Latents).Subtract(shift)).Affine(0.5f, 0.5f).Clamp(0, 1));
    }

    /// <summary>
    /// The latents of the masked picture, which pipelines encode and do not use where the denoiser does not read them, and which a run
    /// therefore does not compute.
    /// </summary>
    private static Tensor Masked(GoldenCase golden, RunStart start)
    {
        using var scope = new TensorScope();
        using var space = new KlLatents(
            AutoencoderKl.Load(Path.Combine(golden.Checkpoint, "vae"), golden.Device), golden.Device, patch: 1);
        var random = new TorchRandom(unchecked((ulong)golden.Arguments.GetProperty("seed").GetInt64()));
        space.Draw(random, start.Grid, 1);
        space.Draw(random, start.Grid, 1);
        return scope.Keep(space.Encode(start.Initial!.Affine(2, -1).Multiply(start.Mask!.Affine(-1, 1)), random));
    }

    private static InputImages Cropped(GoldenCase golden, Comparison results, GenerationRequest request, InputImages given)
    {
        var size = new PixelSize(request.Height!.Value, request.Width!.Value);
        var box = ImageMasks.Around(given.Mask!, size, given.MaskPadding!.Value);
        var crop = golden.Arguments.GetProperty("crop");
        results.Require(
            (crop[0].GetInt32(), crop[1].GetInt32(), crop[2].GetInt32(), crop[3].GetInt32())
                == (box.Left, box.Top, box.Left + box.Width, box.Top + box.Height),
            "another part is cut out");
        return given;
    }

    /// <summary>The pipeline of Kontext takes height and width for a ratio, and its own area.</summary>
    private static GenerationRequest Kontext(
        GoldenCase golden, Comparison results, GenerationRequest request, bool auto, ref InputImages given)
    {
        const int Multiple = 16;
        var size = FluxKontextLatents.SizeOf(
            (double)request.Width!.Value / request.Height!.Value, golden.OptionalDouble("max_area")!.Value, Multiple);
        if (golden.Arguments.TryGetProperty("output_size", out var output))
            results.Require((output[0].GetInt32(), output[1].GetInt32()) == (size.Height, size.Width), "the output has another size");
        if (!auto)
            given = given with { ReferenceSize = 0 };
        return request with { Height = size.Height, Width = size.Width };
    }
}

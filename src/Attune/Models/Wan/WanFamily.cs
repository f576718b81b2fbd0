using Attune.Autoencoders;
using Attune.Latents;
using Attune.Schedulers;
using Attune.Weights;

namespace Attune.Models.Wan;

/// <summary>
/// Wan 2.1 and 2.2 (Alibaba, 2025), text to video, with one network or one for high and one for low noise, and image to video, whose
/// networks read the first frame beside the latents; that of Wan 2.1 also reads what CLIP sees of it. Wan 2.2 5B takes a picture for the
/// first frame's latents, which it keeps.
/// </summary>
public sealed class WanFamily : Family
{
    /// <summary>Timesteps of the schedule with which all models of the family were trained.</summary>
    private const int TrainTimesteps = 1000;

    private const string OfImages = "WanImageToVideoPipeline";

    /// <inheritdoc/>
    public override IReadOnlyList<string> ClassNames { get; } = ["WanPipeline", OfImages];

    /// <inheritdoc/>
    public override IReadOnlyList<string> PresetForms { get; } = ["wan2.1"];

    internal override IReadOnlyList<NoiseKind> NoiseKinds { get; } = [NoiseKind.FlowMatching];

    internal override Model Open(ModelSource source) => Components.Build(owned =>
    {
        bool ofImages = source.Index.ClassName == OfImages;
        var scheduler = OpenScheduler(source);
        var vae = owned.Add(AutoencoderKlCausal.Load(source.Component("vae")));

        // Wan 2.2 5B, which has latents of its own, was trained with other videos than the rest.
        bool small = vae.PixelsPerLatent == 16;
        bool keeps = source.Index.Bool("expand_timesteps", small);
        var high = OpenNetwork(owned, source, "transformer", vae, besides: ofImages && !keeps);
        var prompts = new WanPrompts(owned, source, high.Config);
        Denoiser denoiser = high;
        if (source.Has("transformer_2"))
        {
            var low = OpenNetwork(owned, source, "transformer_2", vae, ofImages && !keeps, high.Config);
            denoiser = new WanExperts(high, low, Boundary(source));
        }
        string[] options =
            [ModelOption.Sigmas, ModelOption.Cache, ModelOption.Frames, .. ofImages || keeps ? new[] { ModelOption.Image } : []];
        var facts = new FamilyFacts(
            source.Index.ClassName!, denoiser.Experts == 2 ? "wan2.2" : "wan2.1", DefaultSize: small ? 1280 : 832,
            DefaultSteps: denoiser.Experts == 2 ? 40 : 50, options.ToHashSet())
        {
            DefaultHeight = small ? 704 : 480,
            BeginsWithImage = ofImages,
            KeepsFirstFrame = keeps,
            DefaultFrames = small ? 121 : 81,
            FrameRate = small ? 24 : 16,
        };
        return new Model(facts, prompts, denoiser, new CausalVideoLatents(vae, source.Device, high.Config.PatchSize), scheduler);
    });

    private static WanTransformer OpenNetwork(
        Components owned, ModelSource source, string name, AutoencoderKlCausal vae, bool besides, WanConfig? first = null)
    {
        var component = source.Component(name);
        var network = owned.Add(WanTransformer.Load(component));
        var config = network.Config;
        int channels = vae.LatentChannels;
        int inputs = besides ? 2 * channels + vae.FramesPerLatent : channels;
        if (config.InChannels != inputs || config.OutChannels != channels)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}': in_channels {config.InChannels} and out_channels {config.OutChannels}, expected {inputs} and "
                    + $"{channels}: the latents have {channels} channels, and a {source.Index.ClassName} reads "
                    + $"{(inputs == channels ? "nothing" : "a mask and the first frame's latents")} beside them.");
        }
        if (first != null && config != first)
        {
            throw new CheckpointException(
                $"'{component.Config.Path}' states another network than transformer/config.json; expected the same values in both.");
        }
        return network;
    }

    /// <summary>The timestep at which the first network still predicts.</summary>
    private static double Boundary(ModelSource source) => source.Index.Find("boundary_ratio") is null
        ? throw new CheckpointException(
            $"'{source.Index.Path}': boundary_ratio is missing, expected the part of the noise, from 0 to 1, at which transformer_2 takes "
                + "over.")
        : source.Index.Number("boundary_ratio", 0, 0, 1) * TrainTimesteps;
}

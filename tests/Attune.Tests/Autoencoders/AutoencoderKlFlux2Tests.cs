using Attune.Autoencoders;
using Attune.Tensors;

namespace Attune.Tests.Autoencoders;

[NoLeaks]
public class AutoencoderKlFlux2Tests
{
    [Theory]
    [InlineData("flux2-klein")]
    [InlineData("flux2-klein-base")]
    public void Decodes_as_the_reference(string name)
    {
        var golden = ComponentCase.Read($"autoencoders/{name}-decode");
        using var vae = AutoencoderKlFlux2.Load(golden.Checkpoint, Host);
        using var latents = golden.Image("latents");
        using var image = vae.Decode(latents);
        golden.CheckImage("image", image);
        golden.RequireAllChecked();
    }

    [Theory]
    [InlineData("flux2-klein")]
    [InlineData("flux2-klein-base")]
    public void Encodes_as_the_reference(string name)
    {
        var golden = ComponentCase.Read($"autoencoders/{name}-encode");
        using var vae = AutoencoderKlFlux2.Load(golden.Checkpoint, Host);
        using var image = golden.Image("image");
        using var posterior = vae.Encode(image);
        golden.CheckImage("mean", posterior.Mean);
        golden.CheckImage("logvar", posterior.LogVariance);
        golden.RequireAllChecked();
    }

    /// <summary>The last latents of a pipeline, [1, 3 x 4 patches, 64], are what the autoencoder decoded.</summary>
    [Fact]
    public void Denormalizes_as_the_reference()
    {
        var golden = ComponentCase.Read("flux2/klein-plain");
        using var vae = AutoencoderKlFlux2.Load(Path.Combine(golden.Checkpoint, "vae"), Host);
        using var packed = golden.Output("latents.3");
        using var patches = packed.Reshape(1, 3, 4, vae.PatchChannels);
        using var latents = vae.Denormalize(patches);
        golden.CheckImage("vae_latents", latents);
        using var back = vae.Normalize(latents);
        using var flat = back.Reshape(packed.Shape);
        golden.Check("latents.3", flat);
    }

    [Fact]
    public void Refuses_latents_that_are_no_patches()
    {
        using var vae = AutoencoderKlFlux2.Load(Path.Combine(ComponentCase.Root, "checkpoints", "flux2-klein", "vae"), Host);
        using var odd = Tensor.Zeros(Host, [1, 3, 4, 16]);
        Assert.Throws<ArgumentException>(() => vae.Normalize(odd));
        Assert.Throws<ArgumentException>(() => vae.Denormalize(odd));
    }
}

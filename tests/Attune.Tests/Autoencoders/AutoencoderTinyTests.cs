using Attune.Autoencoders;
using Attune.Tensors;

namespace Attune.Tests.Autoencoders;

[NoLeaks]
public class AutoencoderTinyTests
{
    [Theory]
    [InlineData("taesd")]
    [InlineData("taef1")]
    public void Decodes_as_the_reference(string name)
    {
        var golden = ComponentCase.Read($"autoencoders/{name}-decode");
        using var vae = AutoencoderTiny.Load(golden.Checkpoint, Host);
        using var latents = golden.Image("latents");
        using var image = vae.Decode(latents);
        golden.CheckImage("image", image);
        golden.RequireAllChecked();
    }

    [Theory]
    [InlineData("taesd")]
    [InlineData("taef1")]
    public void Encodes_as_the_reference(string name)
    {
        var golden = ComponentCase.Read($"autoencoders/{name}-encode");
        using var vae = AutoencoderTiny.Load(golden.Checkpoint, Host);
        using var image = golden.Image("image");
        using var latents = vae.Encode(image);
        golden.CheckImage("latents", latents);
        using var squeezed = vae.ToUnitRange(latents);
        golden.CheckImage("scale_latents", squeezed);
        golden.RequireAllChecked();
    }

    [Fact]
    public void Cancels_and_refuses_other_shapes()
    {
        using var vae = AutoencoderTiny.Load(Path.Combine(ComponentCase.Root, "checkpoints", "autoencoders", "taesd"), Host);
        using var latents = Tensor.Zeros(Host, [1, 2, 2, 4]);
        using var image = Tensor.Zeros(Host, [1, 16, 16, 3]);
        Assert.Throws<OperationCanceledException>(() => vae.Decode(latents, new CancellationToken(canceled: true)));
        Assert.Throws<OperationCanceledException>(() => vae.Encode(image, new CancellationToken(canceled: true)));
        Assert.Throws<ArgumentException>(() => vae.Decode(image));
        Assert.Throws<ArgumentException>(() => vae.Encode(latents));
    }
}

using System.ClientModel;
using System.ClientModel.Primitives;
using System.Net;
using System.Net.ServerSentEvents;
using System.Text;
using System.Text.Json;
using Attune.Imaging;
using OpenAI.Images;

namespace Attune.Server.Tests;

/// <summary>The official OpenAI SDK for .NET against a started server.</summary>
public class SdkTests(TestServer server) : IClassFixture<TestServer>
{
    /// <summary>Unknown members are kept by the SDK, and sent.</summary>
    private static ImageGenerationOptions Options(string more = "") => ModelReaderWriter.Read<ImageGenerationOptions>(
        BinaryData.FromString($$"""{"size": "32x32", "steps": 1, "seed": 7, "max_sequence_length": 16{{more}}}"""))!;

    private ImageClient Client(string model = TestServer.Flux) => server.Sdk().GetImageClient(model);

    [Fact]
    public async Task It_generates()
    {
        var image = (await Client().GenerateImageAsync("a red cat", Options())).Value;
        Assert.Equal(32, Image.Read(image.ImageBytes.ToArray(), "x").Width);
        var plain = (await Client().GenerateImageAsync(
            "a red cat", new ImageGenerationOptions { Size = new GeneratedImageSize(64, 64), Quality = GeneratedImageQuality.High })).Value;
        Assert.Equal(64, Image.Read(plain.ImageBytes.ToArray(), "x").Width);
    }

    [Fact]
    public async Task It_generates_several_and_links()
    {
        var images = (await Client().GenerateImagesAsync("a red cat", 2, Options())).Value;
        Assert.Equal(2, images.Count);
        Assert.NotEqual(images[0].ImageBytes.ToArray(), images[1].ImageBytes.ToArray());
        Assert.InRange(images.CreatedAt, DateTimeOffset.UtcNow.AddMinutes(-5), DateTimeOffset.UtcNow.AddMinutes(1));
        var link = (await Client().GenerateImageAsync("a red cat", Options(", \"response_format\": \"url\""))).Value;
        Assert.Equal(images[0].ImageBytes.ToArray(), await server.Client.GetByteArrayAsync(link.ImageUri));
    }

    [Fact]
    public async Task It_edits()
    {
        var source = new MemoryStream();
        Png.Write(new Image(32, 32, [.. Enumerable.Range(0, 32 * 32 * 3).Select(i => (byte)i)]), source);
        byte[] file = source.ToArray();
        var edited = (await Client(TestServer.Sd).GenerateImageEditAsync(
            new MemoryStream(file), "cat.png", "a red cat", new ImageEditOptions { Size = new GeneratedImageSize(32, 32) })).Value;
        Assert.Equal(32, Image.Read(edited.ImageBytes.ToArray(), "x").Width);
        var refused = await Assert.ThrowsAsync<ClientResultException>(() => Client(TestServer.Sd).GenerateImageEditAsync(
            new MemoryStream([1, 2, 3]), "cat.png", "a red cat"));
        Assert.Contains("no image of a known format", refused.Message, StringComparison.Ordinal);
    }

    /// <summary>What a mask keeps is the picture's to the bit where the part around the mask alone is made and pasted.</summary>
    [Fact]
    public async Task It_edits_a_part()
    {
        static byte[] File(Func<int, byte> value)
        {
            var stream = new MemoryStream();
            Png.Write(new Image(48, 32, [.. Enumerable.Range(0, 48 * 32 * 3).Select(value)]), stream);
            return stream.ToArray();
        }

        byte[] picture = File(i => (byte)i);
        byte[] mask = File(i => (byte)(i / 3 % 48 < 30 ? 0 : 255));
        async Task<(HttpStatusCode Status, JsonElement Answer)> Edit(bool withPicture, params (string Name, string Value)[] fields)
        {
            using var form = new MultipartFormDataContent { { new ByteArrayContent(mask), "mask", "mask.png" } };
            if (withPicture)
                form.Add(new ByteArrayContent(picture), "image", "cat.png");
            foreach (var (name, value) in fields)
                form.Add(new StringContent(value), name);
            using var response = await server.Client.PostAsync("/v1/images/edits", form);
            return (response.StatusCode, JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement);
        }

        (string, string)[] asked = [("model", TestServer.Sd), ("prompt", "a red cat"), ("size", "32x32"), ("steps", "2"), ("seed", "7")];
        var (status, answer) = await Edit(withPicture: true, [.. asked, ("mask_padding", "2")]);
        Assert.True(status == HttpStatusCode.OK, answer.ToString());
        var made = Image.Read(answer.GetProperty("data")[0].GetProperty("b64_json").GetBytesFromBase64(), "x");
        var given = Image.Read(picture, "x");
        Assert.Equal((48, 32), (made.Width, made.Height));
        bool Same(int i) => made.Rgb.Slice(3 * i, 3).SequenceEqual(given.Rgb.Slice(3 * i, 3));
        Assert.All(Enumerable.Range(0, 48 * 32).Where(i => i % 48 < 30), i => Assert.True(Same(i)));
        Assert.Contains(Enumerable.Range(0, 48 * 32), i => !Same(i));
        Assert.Equal(HttpStatusCode.BadRequest, (await Edit(withPicture: false, asked)).Status);
    }

    [Fact]
    public async Task It_shows_what_an_error_says()
    {
        var refused = await Assert.ThrowsAsync<ClientResultException>(
            () => Client().GenerateImageAsync("a red cat", Options(", \"tau\": 3")));
        Assert.Equal(400, refused.Status);
        Assert.Contains("Unknown parameter: 'tau'", refused.Message, StringComparison.Ordinal);
        refused = await Assert.ThrowsAsync<ClientResultException>(() => Client("gpt-image-9").GenerateImageAsync("a red cat"));
        Assert.Equal(404, refused.Status);
        Assert.Contains(TestServer.Flux, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_streams()
    {
        using var body = BinaryContent.Create(
            BinaryData.FromString(
                """{"model": "flux-tiny-random", "prompt": "a red cat", "size": "32x32", "steps": 5, "seed": 7, "n": 2, "stream": true, """
                    + """ "partial_images": 3, "max_sequence_length": 16}"""));
        var result = await Client().GenerateImagesAsync(body, new RequestOptions { BufferResponse = false });
        Assert.True(result.GetRawResponse().Headers.TryGetValue("Content-Type", out string? type));
        Assert.Equal("text/event-stream", type);
        var events = new List<(string Type, JsonElement Data)>();
        await foreach (var said in SseParser.Create(result.GetRawResponse().ContentStream!).EnumerateAsync())
            events.Add((said.EventType, JsonDocument.Parse(said.Data).RootElement));
        Assert.Equal(
            string.Concat(Enumerable.Repeat("pppc", 2)),
            string.Concat(events.Select(said => said.Type["image_generation.".Length..][..1])));
        Assert.All(events, said => Assert.Equal(said.Type, said.Data.GetProperty("type").GetString()));
        foreach (var (index, image) in events.Chunk(4).Index())
        {
            Assert.All(image, said => Assert.Equal(index, said.Data.GetProperty("image_index").GetInt32()));
            Assert.All(image, said => Assert.Equal(7 + index, said.Data.GetProperty("seed").GetInt32()));
            Assert.Equal([0, 1, 2], image[..3].Select(said => said.Data.GetProperty("partial_image_index").GetInt32()));
            Assert.Equal([1, 2, 4], image[..3].Select(said => said.Data.GetProperty("step").GetInt32()));
            foreach (string member in (string[])["created_at", "size", "quality", "background", "output_format"])
                Assert.All(image, said => Assert.True(said.Data.TryGetProperty(member, out _)));
            Assert.True(image[3].Data.TryGetProperty("usage", out _));
            Assert.All(image, said => Assert.Equal(32, Image.Read(said.Data.GetProperty("b64_json").GetBytesFromBase64(), "x").Width));
        }
    }

    [Fact]
    public async Task It_lists_models()
    {
        var models = (await server.Sdk().GetOpenAIModelClient().GetModelsAsync()).Value;
        Assert.Equal([TestServer.Flux, TestServer.Sd], models.Select(model => model.Id));
        Assert.Equal("attune", models[0].OwnedBy);
    }

    /// <summary>What was given up is stopped, so that the next one begins.</summary>
    [Fact]
    public async Task It_gives_up_and_the_work_ends()
    {
        using var patience = new CancellationTokenSource();
        var given = Client().GenerateImageAsync("a red cat", Options().With(", \"steps\": 150, \"size\": \"256x256\""), patience.Token);
        await TestServer.UntilAsync(() => server.Service<Engine.JobBoard>().Live.Any(job => job.Status == Engine.JobStatus.Running));
        var job = server.Service<Engine.JobBoard>().Live.Single();
        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => given);
        await job.Completion.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(Engine.JobStatus.Cancelled, job.Status);
        Assert.NotNull((await Client().GenerateImageAsync("a red cat", Options())).Value.ImageBytes);
    }
}

internal static class OptionsExtensions
{
    /// <summary>Options with other members.</summary>
    public static ImageGenerationOptions With(this ImageGenerationOptions options, string more)
    {
        using var known = JsonDocument.Parse(ModelReaderWriter.Write(options));
        using var changes = JsonDocument.Parse("{" + more.TrimStart(',') + "}");
        var members = known.RootElement.EnumerateObject().Where(member => !changes.RootElement.TryGetProperty(member.Name, out _))
            .Concat(changes.RootElement.EnumerateObject());
        var text = new StringBuilder("{").AppendJoin(',', members.Select(member => $"\"{member.Name}\": {member.Value.GetRawText()}"));
        return ModelReaderWriter.Read<ImageGenerationOptions>(BinaryData.FromString(text.Append('}').ToString()))!;
    }
}

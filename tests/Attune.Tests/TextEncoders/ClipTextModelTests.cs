using Attune.TextEncoders.Clip;
using Attune.Weights;

namespace Attune.Tests.TextEncoders;

[NoLeaks]
public class ClipTextModelTests
{
    [Theory]
    [InlineData("clip-quick-gelu")]
    [InlineData("clip-projection")]
    public void Matches_the_reference(string name)
    {
        var golden = ComponentCase.Read("text-encoders/" + name);
        using var model = ClipTextModel.Load(golden.Checkpoint, Host);
        using var output = model.Encode(golden.Rows("input_ids"), [.. Enumerable.Range(0, model.Layers + 1)]);
        golden.Check("last_hidden_state", output.LastHiddenState);
        for (int i = 0; i <= model.Layers; i++)
            golden.Check($"hidden_states.{i}", output.HiddenStates[i]);
        if (name == "clip-projection")
            golden.Check("text_embeds", output.TextEmbeds);
        else
            golden.Check("pooler_output", output.PooledOutput);
        golden.RequireAllChecked();
    }

    [Fact]
    public void Returns_only_what_is_asked_for_and_the_same_values()
    {
        var golden = ComponentCase.Read("text-encoders/clip-projection");
        using var model = ClipTextModel.Load(golden.Checkpoint, Host);
        using var output = model.Encode(golden.Rows("input_ids"), [-2, 0], lastHiddenState: false, pooled: false);
        golden.Check($"hidden_states.{model.Layers - 1}", output.HiddenStates[0]);
        golden.Check("hidden_states.0", output.HiddenStates[1]);
        Assert.Null(output.LastHiddenState);
        Assert.Null(output.PooledOutput);
        Assert.Null(output.TextEmbeds);
    }

    [Fact]
    public void Stops_after_the_last_layer_that_is_read()
    {
        var golden = ComponentCase.Read("text-encoders/clip-projection");
        using var model = ClipTextModel.Load(golden.Checkpoint, Host);
        // Cancellation is checked once before each layer that runs: with none to run, a cancelled token does not matter.
        using var output = model.Encode(
            golden.Rows("input_ids"), [0], lastHiddenState: false, pooled: false, new CancellationToken(canceled: true));
        golden.Check("hidden_states.0", output.HiddenStates[0]);
    }

    [Fact]
    public void The_final_norm_of_the_last_hidden_state_is_the_last_hidden_state()
    {
        var golden = ComponentCase.Read("text-encoders/clip-quick-gelu");
        using var model = ClipTextModel.Load(golden.Checkpoint, Host);
        using var output = model.Encode(golden.Rows("input_ids"), [-1], lastHiddenState: false, pooled: false);
        using var normalised = model.FinalLayerNorm(output.HiddenStates[0]);
        golden.Check("last_hidden_state", normalised);
    }

    [Fact]
    public void Cancels()
    {
        using var model = ClipTextModel.Load(ComponentCase.Read("text-encoders/clip-quick-gelu").Checkpoint, Host);
        Assert.Throws<OperationCanceledException>(() => model.Encode([[1, 2, 3]], cancellation: new CancellationToken(canceled: true)));
    }

    [Fact]
    public void Refuses_ids_that_do_not_fit()
    {
        using var model = ClipTextModel.Load(ComponentCase.Read("text-encoders/clip-quick-gelu").Checkpoint, Host);
        Assert.Throws<ArgumentException>(() => model.Encode([new int[78]]));
        Assert.Throws<ArgumentException>(() => model.Encode([[1, 2], [1]]));
        Assert.Throws<ArgumentException>(() => model.Encode([]));
        Assert.Throws<ArgumentOutOfRangeException>(() => model.Encode([[1, 1000]]));
        Assert.Throws<ArgumentOutOfRangeException>(() => model.Encode([[1, 2]], [4]));
    }

    [Fact]
    public void Loads_old_checkpoints_with_position_ids()
    {
        using var model = ClipTextModel.Load(Path.Combine(ComponentCase.Root, "checkpoints", "sd15", "text_encoder"), Host);
        Assert.Equal(32, model.Channels);
        Assert.Null(model.ProjectionChannels);
    }

    [Fact]
    public void Names_a_missing_tensor()
    {
        string folder = Directory.CreateTempSubdirectory("attune-clip-").FullName;
        try
        {
            string source = Path.Combine(ComponentCase.Root, "checkpoints", "text-encoders", "clip-quick-gelu");
            File.Copy(Path.Combine(source, "model.safetensors"), Path.Combine(folder, "model.safetensors"));
            string config = File.ReadAllText(Path.Combine(source, "config.json"));
            File.WriteAllText(Path.Combine(folder, "config.json"), config.Replace("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4"));
            Assert.Contains(
                "text_model.encoder.layers.3", Assert.Throws<CheckpointException>(() => ClipTextModel.Load(folder, Host)).Message);
            File.WriteAllText(Path.Combine(folder, "config.json"), config.Replace("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2"));
            Assert.Contains(
                "text_model.encoder.layers.2", Assert.Throws<CheckpointException>(() => ClipTextModel.Load(folder, Host)).Message);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}

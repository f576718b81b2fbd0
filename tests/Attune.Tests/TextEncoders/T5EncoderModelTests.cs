using Attune.Tensors;
using Attune.TextEncoders.T5;

namespace Attune.Tests.TextEncoders;

[NoLeaks]
public class T5EncoderModelTests
{
    [Theory]
    [InlineData("t5")]
    [InlineData("umt5")]
    public void Matches_the_reference(string name)
    {
        var golden = ComponentCase.Read("text-encoders/" + name);
        using var model = T5EncoderModel.Load(golden.Checkpoint, Host);
        using var output = model.Encode(golden.Rows("input_ids"));
        golden.Check("last_hidden_state", output);
        golden.RequireAllChecked();
    }

    [Theory]
    [InlineData("t5-masked")]
    public void Matches_the_reference_with_a_mask(string name)
    {
        var golden = ComponentCase.Read("text-encoders/" + name);
        int[][] mask = golden.Rows("attention_mask");
        using var model = T5EncoderModel.Load(golden.Checkpoint, Host);
        using var scope = new TensorScope();
        var states = model.EncodeHiddenStates(golden.Rows("input_ids"), [.. Enumerable.Range(0, model.Layers + 1)], mask);
        for (int i = 0; i <= model.Layers; i++)
        {
            ClearPads(states[i], mask);
            golden.Check($"hidden_states.{i}", states[i]);
        }
        golden.Check("last_hidden_state", states[^1]);
        golden.RequireAllChecked();
    }

    [Fact]
    public void Stops_after_the_last_layer_that_is_read()
    {
        var golden = ComponentCase.Read("text-encoders/t5-masked");
        int[][] mask = golden.Rows("attention_mask");
        using var model = T5EncoderModel.Load(golden.Checkpoint, Host);
        using var scope = new TensorScope();
        var embedding = model.EncodeHiddenStates(golden.Rows("input_ids"), [0], mask, new CancellationToken(canceled: true))[0];
        ClearPads(embedding, mask);
        golden.Check("hidden_states.0", embedding);
        Assert.Throws<OperationCanceledException>(
            () => model.Encode(golden.Rows("input_ids"), mask, new CancellationToken(canceled: true)));
    }

    [Fact]
    public void Refuses_a_mask_of_another_shape()
    {
        using var model = T5EncoderModel.Load(ComponentCase.Read("text-encoders/t5").Checkpoint, Host);
        Assert.Throws<ArgumentException>(() => model.Encode([[1, 2, 3]], [[1, 1]]));
        Assert.Throws<ArgumentException>(() => model.Encode([[1, 2], [1]]));
        Assert.Throws<ArgumentOutOfRangeException>(() => model.EncodeHiddenStates([[1, 2]], [-5]));
    }

    /// <summary>The first distance of each bucket, from the definition: half exact, then max 2^(k/2) steps up to 128.</summary>
    [Fact]
    public void Buckets_grow_logarithmically()
    {
        int[] first = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91];
        for (int bucket = 0; bucket < first.Length; bucket++)
        {
            int last = bucket + 1 < first.Length ? first[bucket + 1] - 1 : 1000;
            foreach (int distance in (int[])[first[bucket], last])
            {
                Assert.Equal(bucket, T5RelativeBias.Bucket(-distance, 32, 128));
                Assert.Equal(distance == 0 ? 0 : bucket + 16, T5RelativeBias.Bucket(distance, 32, 128));
            }
        }
    }

    private static void ClearPads(Tensor state, int[][] mask)
    {
        for (int item = 0; item < mask.Length; item++)
        {
            for (int token = 0; token < mask[item].Length; token++)
            {
                if (mask[item][token] == 0)
                    state.Row(item, token).Clear();
            }
        }
    }
}

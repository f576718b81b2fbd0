namespace Attune.Tensors.Tests;

/// <summary>
/// What every device must compute: each primitive against the managed device, at tolerances of float32 whose sums are added in another
/// order. Odd shapes, empty rows, rows beyond what float32 can square, and views into larger tensors whose rest is not a number.
/// </summary>
public abstract class DeviceConformance
{
    /// <summary>The device, in float32. Skips the test where it cannot be opened.</summary>
    protected abstract Device Device { get; }

    /// <summary>Whether the host writes into a copy, in which nothing is to be read, rather than into the device's memory.</summary>
    protected virtual bool WritesToCopies => true;

    private readonly Random _random = new(31);

    [Fact]
    public void Products_agree_with_managed_ones()
    {
        WeightFormat[] formats = [WeightFormat.Float32, WeightFormat.BFloat16, WeightFormat.Float16];
        foreach (var (rows, inputs, outputs) in new[] { (1, 1, 1), (5, 7, 3), (33, 48, 65), (2, 333, 16), (0, 8, 8) })
        {
            foreach (var format in formats)
            {
                using var matrix = new TestWeight([outputs, inputs], format, 3, Next);
                using var bias = new TestWeight([outputs], format, 1, Next);
                foreach (var activation in Enum.GetValues<Activation>())
                {
                    if (activation is Activation.Log or Activation.Exp)
                        continue;
                    Same(5e-6, x => x[0].Linear(matrix.On(x[0].Device), bias.On(x[0].Device), activation), [2, rows, inputs]);
                }
                Same(3e-6, x => x[0].AddLinear(x[1], matrix.On(x[0].Device)), [rows, outputs], [rows, inputs]);
                if (outputs > 2)
                    Same(3e-6, x => x[0].Linear(matrix.On(x[0].Device).Rows(1, 2), bias.On(x[0].Device).Rows(1, 2)), [rows, inputs]);
            }
        }
    }

    [Fact]
    public void Convolutions_agree_with_managed_ones()
    {
        foreach (int kernel in new[] { 1, 2, 3, 5 })
        {
            foreach (var geometry in new[]
            {
                Conv2dGeometry.Same(kernel / 2), Conv2dGeometry.Same(kernel / 2, 2), new(2, 0, 0, 1, 1), new(1, 3, 0, 1, 2),
            })
            {
                foreach (var (inputs, outputs) in new[] { (1, 1), (3, 17), (16, 4) })
                {
                    using var weight = new TestWeight([outputs, inputs, kernel, kernel], WeightFormat.BFloat16, 2, Next);
                    using var bias = new TestWeight([outputs], WeightFormat.Float32, 0, Next);
                    Same(1e-5, x => x[0].Conv2d(weight.On(x[0].Device), bias.On(x[0].Device), geometry), [2, 9, 8, inputs]);
                    var (height, width) = geometry.OutputSize(9, 8, kernel, kernel);
                    Same(
                        1e-5, x => x[0].AddConv2d(x[1], weight.On(x[0].Device), bias.On(x[0].Device), geometry, x[0]),
                        [2, height, width, outputs], [2, 9, 8, inputs]);
                }
            }
        }
        using var frames = new TestWeight([20, 24, 3, 3, 3], WeightFormat.Float32, 0, Next);
        Same(
            1e-5, x => x[0].CausalConv3d(frames.On(x[0].Device), null, Conv2dGeometry.Same(1), 2, x[1]), [2, 5, 7, 6, 24],
            [2, 1, 7, 6, 24]);
        Same(1e-5, x => x[0].DepthwiseConv2d(x[1], x[2].Reshape(24)), [2, 7, 6, 24], [3, 5, 24], [1, 24]);
    }

    [Fact]
    public void Norms_agree_with_managed_ones()
    {
        foreach (Shape shape in new Shape[] { [2, 5, 4, 24], [1, 3, 24], [3, 1, 1, 24], [2, 2, 3, 2, 24], [2, 0, 24] })
        {
            using var weight = new TestWeight([24], WeightFormat.BFloat16, 2, Next);
            using var bias = new TestWeight([24], WeightFormat.Float32, 0, Next);
            foreach (int groups in new[] { 1, 3, 24 })
            {
                Same(
                    1e-5, x => x[0].GroupNorm(groups, weight.On(x[0].Device), bias.On(x[0].Device), 1e-5f, Activation.Silu), shape);
            }
            Same(1e-5, x => x[0].LayerNorm(weight.On(x[0].Device), bias.On(x[0].Device), 1e-5f), shape);
            Same(1e-4, x => x[0].Affine(.1f, 5).LayerNorm(null, bias.On(x[0].Device), 1e-5f), shape);
            Same(1e-5, x => x[0].RmsNorm(weight.On(x[0].Device), 1e-6f), shape);
            Same(1e-5, x => x[0].RmsNorm(null, 1e-6f), shape);
            Same(1e-6, x => x[0].Softmax(), shape);
        }
        Same(0, x => Tensor.Full(x[0].Device, [2, 5], float.NegativeInfinity).Softmax(), [1]);

        // A mean of 430 deviations: x / deviation and mean / deviation are rounded and cancel, at a deviation that is some units off:
        // 16 * 430 * 2^-24. A variance as a difference of squares would be off by 430^2 * 2^-24, a hundredth of itself.
        Same(1e-3, x => x[0].Affine(.01f, 5).GroupNorm(3, null, null, 1e-9f), [2, 5, 4, 24]);
        Same(1e-5, x => x[0].ModulatedLayerNorm(x[1], x[2], 1e-6f), [2, 5, 24], [2, 24], [1, 24]);
    }

    [Fact]
    public void Elementwise_operations_agree_with_managed_ones()
    {
        foreach (var activation in Enum.GetValues<Activation>())
        {
            Same(2e-6, x => x[0].Activate(activation), [3, 7]);
            Same(2e-6, x => x[0].Multiply(x[0]).Affine(1, 1e-3f).Activate(activation), [3, 70]);
        }
        Same(0, x => Tensor.Zeros(x[0].Device, [3]).Activate(Activation.Log).Activate(Activation.Exp), [1]);
        foreach (var (a, b) in new (Shape, Shape)[] { ([2, 3, 5], [2, 3, 5]), ([2, 1, 5], [3, 1]), ([4], [2, 3, 1]), ([2, 0, 3], [3]) })
        {
            Same(0, x => x[0].Add(x[1]), a, b);
            Same(0, x => x[0].Subtract(x[1]), a, b);
            Same(0, x => x[0].Multiply(x[1]), a, b);
            Same(1e-6, x => x[0].Divide(x[1]), a, b);
            Same(0, x => x[0].Maximum(x[1]), a, b);
            Same(0, x => x[0].Minimum(x[1]), a, b);
        }
        Same(1e-6, x => TensorOperations.Combine(1.5f, x[0], -.3f, x[1]), [2, 9], [2, 9]);
        Same(1e-6, x => TensorOperations.Combine(1.5f, x[0], -.3f, x[1], x[1]), [2, 9], [2, 9]);
        Same(1e-6, x => x[0].Affine(1.7f, -.3f), [2, 9]);
        Same(0, x => x[0].Clamp(-.5f, .25f), [2, 9]);
        Same(0, x => x[0].Clamp(float.NegativeInfinity, 0), [2, 9]);
        Same(1e-6, x => x[0].Modulate(x[1], x[2]), [2, 5, 24], [2, 24], [1, 24]);
        Same(1e-6, x => x[0].AddGated(x[1], x[2]), [2, 5, 24], [1, 24], [2, 5, 24]);
        Same(0, x => x[0].ResizeNearest(7, 10), [2, 3, 4, 5]);
        Same(0, x => x[0].Permute(2, 0, 1), [2, 3, 4]);
        Same(0, x => TensorOperations.Concatenate(1, x[0], x[1]), [2, 3, 4], [2, 0, 4]);
    }

    [Theory]
    [InlineData(RotaryPairing.Adjacent)]
    [InlineData(RotaryPairing.Halves)]
    [InlineData(RotaryPairing.HalvesByNeighbours)]
    public void Rotations_agree_with_managed_ones(RotaryPairing pairing)
    {
        foreach (int channels in new[] { 2, 6, 24, 64 })
        {
            Same(1e-6, x =>
            {
                using var rotary = new RotaryEmbedding(x[1], x[2], pairing);
                return x[0].Rotate(rotary).Add(x[0].Slice(2, 1, 2).Clone().Rotate(rotary).Slice(2, 0, 1));
            }, [2, 5, 3, channels], [5, channels / 2], [5, channels / 2]);
        }
    }

    [Fact]
    public void Rows_agree_with_managed_ones()
    {
        foreach (int columns in new[] { 1, 7, 9000 })
        {
            foreach (float scale in new[] { 1, 1e-30f, 1e30f })
            {
                Same(3e-6, x => x[0].Affine(scale).RowNorms(1).Affine(1 / scale), [2, 3, columns]);
                Same(3e-6, x => x[0].Affine(scale).RowNorms().Affine(1 / scale), [2, 3, columns]);
                Same(
                    3e-6, x => x[0].Affine(scale).RowNorms(2, 1.5f, x[1].Affine(scale)).Affine(1 / scale), [2, 3, columns],
                    [2, 3, columns]);
                Same(1e-5, x => x[0].Affine(scale).RowShares(x[1].Affine(scale)), [2, 3, columns], [2, 3, columns]);
            }
            Same(3e-6, x => x[0].RowDots(x[1]), [2, 3, columns], [2, 3, columns]);
            Same(3e-6, x => x[0].RowShares(x[1].Affine(0)), [2, 3, columns], [2, 3, columns]);
            Shape rows = [2, 3, columns], numbers = [2, 3, 1];
            Same(3e-6, x => x[0].AddRows(x[1], x[2], x[3], x[4]), rows, numbers, rows, numbers, rows);
            Same(3e-6, x => x[0].AddRows(null, x[1], x[2], x[3]), rows, rows, numbers, rows);
            Same(3e-6, x => x[0].AddRows(x[1], x[2]), rows, numbers, rows);
            Same(0, x => x[0].AddRows(x[1].Affine(0), x[2], x[1].Affine(0), x[3]), rows, numbers, rows, rows);
        }
        Same(0, x => x[0].RowNorms(), [2, 0, 5]);
        Same(1e-6, x => x[0].Multiply(x[0]).LimitRatio(x[1].Multiply(x[1])), [2, 5], [2, 5]);
    }

    [Fact]
    public void Ratios_have_a_number_of_their_own_where_the_denominator_is_0()
    {
        foreach (var device in new[] { Device, Devices.Managed })
        {
            using var scope = new TensorScope();
            var numerator = Tensor.From(device, [6, 0, 3, -3, 1], [5]);
            var denominator = Tensor.From(device, [4, 0, 0, 0, 1e-30f], [5]);
            Assert.Equal([1.5f, 7, 7, 7, 1e30f], numerator.Ratio(denominator, 7).ToArray());
            Assert.Equal([1, 1, 1, 1, 1f], numerator.LimitRatio(denominator).ToArray());
            Assert.Equal([.5f, 1, 1, 1, 1], TensorOperations.LimitRatio(2, denominator).ToArray());
            Assert.Equal([1f, 1, 1, 1, 1], TensorOperations.LimitRatio(float.PositiveInfinity, denominator).ToArray());
        }
    }

    [Fact]
    public void Attention_agrees_with_the_managed_one()
    {
        foreach (var (channels, sizes) in new[]
        {
            (8, new[] { (1, 1), (7, 300) }), (20, [(33, 5), (5, 0)]), (64, [(33, 5)]), (264, [(7, 5), (5, 0)]),
        })
        {
            foreach (var (queries, keys) in sizes)
            {
                Shape q = [2, queries, 4, channels];
                Check(q, [2, keys, 4, channels], _ => null);
                Check(q, [1, keys, 2, channels], _ => null);
                if (keys == 0)
                    continue;
                Check(q, [1, keys, 4, channels], x => new AttentionMask { Keys = Counted(x, [2, keys], i => i % 3 != 0) });
                Check(q, [2, keys, 1, channels], x => new AttentionMask { Keys = Counted(x, [1, keys], _ => false) });
                Check(q, [2, keys, 4, channels], x => new AttentionMask { Bias = Fixed(x, [1, 4, queries, keys]) });
                Check(q, [2, keys, 4, channels], x => new AttentionMask { Bias = Fixed(x, [2, 1, queries, keys]), SoftCap = 2 });
                Check(q, [2, keys, 4, channels], _ => new AttentionMask { Causal = true });
                Check(q, [2, keys, 4, channels], _ => new AttentionMask { Causal = true, Window = 3 });
            }
        }

        void Check(Shape query, Shape key, Func<Device, AttentionMask?> mask) => Same(5e-6, x =>
        {
            var sums = x[0].Like(query.Take(..3));
            var output = x[0].Attention(x[1], x[2], .3f, mask(x[0].Device), null, sums);
            return TensorOperations.Concatenate(^1, output, sums.Reshape(query.With(^1, 1)).Clamp(-1e4f, 1e4f));
        }, query, key, key);
    }

    [Fact]
    public void Merged_partials_agree_with_managed_ones()
    {
        Shape rows = [2, 5, 3], outputs = [2, 5, 3, 16];
        Merged(x => x, 1);
        Merged(x => x.Affine(300), 1);
        Merged(x => Tensor.Full(x.Device, x.Shape, float.NegativeInfinity), 0);

        // Into others, in the place of one of them, and without a log-sum-exp. Where no key counts, outputs are zeros.
        void Merged(Func<Tensor, Tensor> sums, float present) => Same(1e-6, x =>
        {
            x[0].Affine(present, 0, x[0]);
            x[1].Affine(present, 0, x[1]);
            var (output, logSumExp) = (x[0].Like(outputs), x[0].Like(rows));
            var device = x[0].Device;
            device.MergeAttention(x[0], sums(x[2]), x[1], x[3], output, logSumExp);
            device.MergeAttention(x[0], sums(x[2]), x[1], sums(x[3]), x[0], null);
            var (both, sum) = (x[1].Clone(), x[3].Clone());
            device.MergeAttention(output, logSumExp, both, sum, both, sum);
            return TensorOperations.Concatenate(
                ^1, output, x[0], both, logSumExp.Reshape(2, 5, 3, 1).Clamp(-1e4f, 1e4f), sum.Reshape(2, 5, 3, 1).Clamp(-1e4f, 1e4f));
        }, outputs, outputs, rows, rows);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(1.1)]
    [InlineData(1.5)]
    [InlineData(2)]
    [InlineData(2.5)]
    public void Entmax_agrees_with_the_managed_one(float alpha)
    {
        foreach (float sharpness in new[] { 0, 1, 30f })
            Same(3e-6, x => x[0].Affine(sharpness, 100 * sharpness).Entmax(alpha), [4, 3, 37]);
        Same(0, x => Tensor.Full(x[0].Device, [2, 5], float.NegativeInfinity).Entmax(alpha), [1]);
        foreach (var (keys, masked) in new[] { (5, 0), (19, 4), (40, 0), (3, 3), (0, 0) })
        {
            Shape query = [2, 6, 4, 16], key = [1, keys, 2, 16];
            Same(1e-5, x =>
            {
                var mask = masked > 0 ? new AttentionMask { Keys = Counted(x[0].Device, [1, keys], i => i >= masked) } : null;
                var (dense, sums, support) = (x[0].Like(query), x[0].Like(query.Take(..3)), x[0].Like(query.Take(..3)));
                var sparse = x[0].EntmaxAttention(x[1], x[2], .7f, alpha, mask, null, dense, sums, support);
                return TensorOperations.Concatenate(
                    ^1, sparse, dense, sums.Reshape(2, 6, 4, 1).Clamp(-1e4f, 1e4f), support.Reshape(2, 6, 4, 1));
            }, query, key, key);
        }
    }

    [Fact]
    public void Linear_attention_agrees_with_the_managed_one() => Same(
        1e-5, x => x[0].Multiply(x[0]).LinearAttention(x[1].Multiply(x[1]), x[2], 1e-5f), [2, 9, 3, 8], [2, 9, 3, 8], [2, 9, 3, 8]);

    [Fact]
    public void Rows_of_tables_are_read_and_foreign_ones_refused()
    {
        using var table = new TestWeight([9, 5], WeightFormat.BFloat16, 1, Next);
        var stored = table.Stored;
        using var prepared = Device.Prepare(stored, WeightRole.Table);
        using var scope = new TensorScope();
        var rows = Tensor.Empty(Device, [3, 5]);
        Device.Embed(prepared, [8, 0, 8], rows);
        float[] values = table.Values;
        Assert.Equal([.. values[40..45], .. values[..5], .. values[40..45]], rows.ToArray());
        Assert.Contains(
            "row 9", Assert.Throws<ArgumentOutOfRangeException>(() => Device.Embed(prepared, [9], rows.Slice(0, 0, 1))).Message,
            StringComparison.Ordinal);
    }

    /// <summary>Results that go into slices, in place and over what was there.</summary>
    [Fact]
    public void Results_go_into_views()
    {
        Same(0, x =>
        {
            var room = Tensor.Zeros(x[0].Device, [2, 5, 6]);
            x[0].Add(x[0], room.Slice(1, 1, 3).Slice(2, 2, 4));
            room.Slice(2, 0, 4).Affine(2, 1, room.Slice(2, 0, 4));
            return room;
        }, [2, 3, 4]);
        Same(0, x =>
        {
            x[0].Add(x[1], x[0]);
            x[0].Multiply(x[0], x[0]);
            x[1].CopyTo(x[0].Slice(0, 1, 1).Reshape(3, 4));
            return x[0];
        }, [2, 3, 4], [3, 4]);
        Same(0, x => x[0].Permute(1, 0, 2).Slice(1, 1, 1).Expand(1, 3).Clone(), [4, 2, 3]);
    }

    [Fact]
    public void The_host_writes_views_and_reads_what_it_wrote()
    {
        using var scope = new TensorScope();
        var x = Tensor.Zeros(Device, [2, 3, 2]);
        using (var view = x.Slice(1, 1, 1).Write())
        {
            Assert.Equal(WritesToCopies, float.IsNaN(view.Row(0, 0)[0]));
            view.Row(0, 0).Fill(1);
            view.Row(1, 0).Fill(2);
        }
        Assert.Equal([0f, 0, 1, 1, 0, 0, 0, 0, 2, 2, 0, 0], x.ToArray());
        Assert.Equal([1f, 1, 1, 1, 2, 2, 2, 2], x.Slice(1, 1, 1).Expand(1, 2).ToArray());
    }

    /// <summary>Computes the same on the managed device and on the other, of tensors and of views into larger ones.</summary>
    private void Same(double tolerance, Func<Tensor[], Tensor> compute, params Shape[] shapes)
    {
        foreach (bool views in new[] { false, true })
        {
            using var scope = new TensorScope();
            Tensor[] here = [.. shapes.Select(Values)];
            Tensor[] there = [.. here.Select(x => Moved(x, Device, views))];
            float[] actual = compute(there).ToArray();
            float[] expected = compute([.. here.Select(x => Moved(x, Devices.Managed, views))]).ToArray();
            double largest = expected.Where(float.IsFinite).Select(Math.Abs).Append(1).Max();
            Assert.Equal(expected.Length, actual.Length);
            for (int i = 0; i < expected.Length; i++)
            {
                bool same = expected[i].Equals(actual[i]) || Math.Abs(expected[i] - actual[i]) <= tolerance * largest;
                Assert.True(same, $"{i} of {string.Join(", ", shapes)}: {actual[i]}, expected {expected[i]}, views: {views}");
            }
        }
    }

    /// <summary>A copy on a device: of its own, or as a part of a larger tensor, whose rest is not a number.</summary>
    private static Tensor Moved(Tensor x, Device device, bool view)
    {
        if (!view || x.Shape.Rank < 2)
            return Tensor.From(device, x.ToArray(), x.Shape);
        int rank = x.Shape.Rank;
        var large = Tensor.Full(device, x.Shape.With(^1, x.Shape[^1] + 3).With(rank - 2, x.Shape[^2] + 1), float.NaN);
        var part = large.Slice(^1, 2, x.Shape[^1]).Slice(rank - 2, 1, x.Shape[^2]);
        Tensor.From(device, x.ToArray(), x.Shape).CopyTo(part);
        return part;
    }

    private static Tensor Counted(Device device, Shape shape, Func<int, bool> counts) =>
        Tensor.From(device, [.. Enumerable.Range(0, (int)shape.Count).Select(i => counts(i) ? 1f : 0)], shape);

    /// <summary>The same numbers each time, so that two devices get the same.</summary>
    private static Tensor Fixed(Device device, Shape shape)
    {
        var random = new Random(7);
        return Tensor.From(device, [.. Enumerable.Range(0, (int)shape.Count).Select(_ => 4 * random.NextSingle() - 2)], shape);
    }

    private Tensor Values(Shape shape) => Tensor.From(
        Devices.Managed, [.. Enumerable.Range(0, (int)shape.Count).Select(_ => 4 * _random.NextSingle() - 2)], shape);

    private float Next() => _random.NextSingle() - 0.5f;
}

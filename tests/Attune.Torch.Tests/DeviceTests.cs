using System.Runtime.InteropServices;
using Attune.Tensors;
using Attune.Tensors.Tests;

namespace Attune.Torch.Tests;

/// <summary>How the library is found, what cannot be opened, and what the device does with memory, threads and errors.</summary>
[NoLeaks]
public partial class DeviceTests
{
    [Theory]
    [InlineData("torch")]
    [InlineData("torch:")]
    [InlineData("torch:gpu")]
    [InlineData("torch:cpu:0")]
    [InlineData("torch:cuda:x")]
    [InlineData("torch:cuda:-1")]
    [InlineData("cuda:0")]
    public void A_name_that_is_none_is_refused(string name) => Assert.Equal(
        $"--device is '{name}', expected torch:cpu, torch:cuda:N or torch:mps.",
        Assert.Throws<ArgumentException>(() => TorchDevice.Open(name, option: "--device")).Message);

    [Fact]
    public void A_folder_without_the_library_says_what_to_install()
    {
        string empty = Directory.CreateTempSubdirectory("attune").FullName;
        try
        {
            foreach (string folder in new[] { empty, Path.Combine(empty, "none") })
            {
                var problem = Assert.Throws<NotSupportedException>(() => TorchLibrary.Load(folder));
                Assert.Contains("libtorch-cpu-", problem.Message, StringComparison.Ordinal);
                Assert.Contains("torch.__path__", problem.Message, StringComparison.Ordinal);
                Assert.Contains(folder, problem.Message, StringComparison.Ordinal);
            }
        }
        finally
        {
            Directory.Delete(empty, recursive: true);
        }
    }

    [Fact]
    public void What_was_found_is_described()
    {
        TorchCpu.Require();
        var library = TorchLibrary.Load();
        Assert.Same(library, TorchLibrary.Load(library.Folder));
        Assert.Same(library, TorchLibrary.Load(Path.Combine(library.Folder, ".")));
        Assert.True(library.Version >= TorchLibrary.OldestVersion);
        Assert.Contains("torch:cpu", library.Devices);
        Assert.Contains(library.Folder, library.ToString(), StringComparison.Ordinal);
        Assert.Contains($"libtorch {library.Version}", TorchCpu.Device.Description, StringComparison.Ordinal);
    }

    [Fact]
    public void A_card_that_is_not_there_is_refused()
    {
        TorchCpu.Require();
        var problem = Assert.Throws<NotSupportedException>(() => TorchDevice.Open("torch:cuda:99"));
        Assert.Contains("'torch:cuda:99' cannot be used", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Errors_of_the_library_name_the_operation_and_the_shapes()
    {
        using var scope = new TensorScope();
        var device = TorchCpu.Device;
        var (a, b) = (Tensor.Zeros(device, [2, 3]), Tensor.Zeros(device, [4, 5]));
        long before = device.LiveHandles;
        var problem = Assert.Throws<TorchException>(() => device.Binary(BinaryOperation.Multiply, a, b, a));
        Assert.Contains("torch:cpu: Multiply of [2, 3], [4, 5]: aten::mul failed", problem.Message, StringComparison.Ordinal);
        Assert.Equal(before, device.LiveHandles);
        Assert.Equal(new float[6], a.ToArray());
    }

    [Fact]
    public void Want_of_memory_is_told_as_such()
    {
        using var scope = new TensorScope();
        var x = Tensor.Empty(TorchCpu.Device, [1 << 20, 1 << 20, 1 << 10]);
        var problem = Assert.Throws<InsufficientMemoryException>(() => x.Slice(0, 0, 1).Fill(0));
        Assert.Contains("torch:cpu has no room for a tensor [1125899906842624]", problem.Message, StringComparison.Ordinal);
        Assert.Contains("--gpu-memory", problem.Message, StringComparison.Ordinal);
    }

    /// <summary>Before 2.13 the library does not say why an operator failed: then little free memory of a card is the reason.</summary>
    [Theory]
    [InlineData("aten::mul failed (libtorch's own words are on the standard error stream)", 90, true)]
    [InlineData("aten::mul failed (libtorch's own words are on the standard error stream)", 400, false)]
    [InlineData("aten::mul failed: CUDA out of memory. Tried to allocate 2.00 GiB", 400, true)]
    [InlineData("aten::mul failed: The size of tensor a (3) must match the size of tensor b (5)", 90, false)]
    public void Operators_that_fail_for_want_of_memory_are_told_apart(string reason, long free, bool expected)
    {
        Assert.Equal(expected, TorchDevice.IsWantOfMemory(reason, (free << 20, 1000L << 20)));
        Assert.Equal(reason.Contains("out of", StringComparison.Ordinal), TorchDevice.IsWantOfMemory(reason, (0, 0)));
    }

    /// <summary>Cards would make convolutions of float32 in TF32, which is refused before the library is loaded.</summary>
    [Fact]
    public void Float32_is_not_rounded_to_tf32()
    {
        TorchCpu.Require();
        TorchLibrary.Load();
        if (OperatingSystem.IsLinux() && Environment.GetEnvironmentVariable("NVIDIA_TF32_OVERRIDE") == null)
            Assert.Equal("0", Marshal.PtrToStringUTF8(GetEnvironment("NVIDIA_TF32_OVERRIDE")));
    }

    /// <summary>What only cards compute with: rows of the efficient kernel's bias and log-sum-exp have ends that do not count.</summary>
    [Fact]
    public void Operands_of_a_cards_kernels_have_padded_rows()
    {
        using var scope = new TensorScope();
        var device = TorchCpu.Device;
        var (query, key) = (Tensor.Zeros(device, [2, 5, 3, 8]), Tensor.Zeros(device, [2, 19, 3, 8]));
        foreach (Shape shape in new Shape[] { [1, 1, 5, 19], [2, 1, 5, 19], [1, 3, 5, 19], [2, 3, 5, 19] })
        {
            float[] values = [.. Enumerable.Range(0, (int)shape.Count).Select(i => (float)i)];
            var (bias, result) = (Tensor.From(device, values, shape), Tensor.Empty(device, [2, 3, 5, 19]));
            device.Run("a bias", o =>
            {
                nint aligned = TorchDevice.Aligned(o, o.View(bias), query, key);
                Assert.Equal(32, o.StridesOf(aligned)[2]);
                Assert.Equal(1, o.StridesOf(aligned)[3]);
                o.Store(result, aligned);
            });
            Assert.Equal(bias.Expand(0, 2).Expand(1, 3).Clone().ToArray(), result.ToArray());
        }

        var filled = Tensor.From(device, [.. Enumerable.Range(0, 2 * 3 * 32).Select(i => (float)i)], [2, 3, 32]);
        var sums = Tensor.Empty(device, [2, 3, 5]);
        device.Run("a log-sum-exp", o => o.Store(sums, TorchDevice.Unpadded(o, o.View(filled), 5)));
        Assert.Equal(filled.Slice(2, 0, 5).Clone().ToArray(), sums.ToArray());
    }

    [Fact]
    public void What_was_never_written_cannot_be_read()
    {
        using var scope = new TensorScope();
        var x = Tensor.Empty(TorchCpu.Device, [2, 3]);
        Assert.Contains(
            "[2, 3] is read before", Assert.Throws<InvalidOperationException>(() => x.Add(x)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tensors_and_weights_of_other_devices_are_refused()
    {
        using var scope = new TensorScope();
        var x = Tensor.Zeros(TorchCpu.Device, [2, 3]);
        var other = Tensor.Zeros(Devices.Managed, [2, 3]);
        Assert.Contains(
            "no kernel of 'torch:cpu'", Assert.Throws<InvalidOperationException>(() => x.Add(other)).Message, StringComparison.Ordinal);
        using var weight = new TestWeight([4, 3], WeightFormat.Float32, 0, () => 1);
        Assert.Contains(
            "not prepared for torch:cpu", Assert.Throws<ArgumentException>(() => x.Linear(weight.Weight)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Bytes_are_counted_and_given_back()
    {
        var device = TorchCpu.Device;
        var (bytes, handles) = (device.LiveBytes, device.LiveHandles);
        device.ResetPeak();
        using (var scope = new TensorScope())
        {
            var x = Tensor.Full(device, [100, 100], 1);
            Assert.Equal(bytes + 40_000, device.LiveBytes);
            var y = x.Add(x);
            Assert.Equal(bytes + 80_000, device.LiveBytes);
            x.Add(y, x);
            Assert.Equal(bytes + 80_000, device.LiveBytes);
            var slice = y.Slice(0, 3, 2);
            y.Dispose();
            Assert.Equal(bytes + 80_000, device.LiveBytes);      // the slice keeps it
            slice.Dispose();
            Assert.Equal(bytes + 40_000, device.LiveBytes);
        }
        Assert.Equal((bytes, handles), (device.LiveBytes, device.LiveHandles));
        Assert.True(device.PeakBytes >= bytes + 80_000);
    }

    [Fact]
    public void Threads_take_turns()
    {
        var device = TorchCpu.Device;
        var random = new Random(3);
        using var weight = new TestWeight([50, 40], WeightFormat.BFloat16, 0, () => random.NextSingle() - .5f);
        using var x = TensorScope.Detach(Tensor.From(device, [.. Enumerable.Range(0, 800).Select(_ => random.NextSingle())], [20, 40]));
        float[] Compute()
        {
            using var scope = new TensorScope();
            return x.Linear(weight.On(device)).Activate(Activation.Silu).Softmax().ToArray();
        }
        float[] expected = Compute();
        long handles = device.LiveHandles;
        Parallel.For(0, 64, new ParallelOptions { MaxDegreeOfParallelism = 8 }, _ => Assert.Equal(expected, Compute()));
        Assert.Equal(handles, device.LiveHandles);
    }

    [Fact]
    public void A_device_that_was_disposed_says_so()
    {
        TorchCpu.Require();
        var device = TorchDevice.Open("torch:cpu");
        using (var x = TensorScope.Detach(Tensor.Full(device, [3], 2)))
            Assert.Equal([2f, 2, 2], x.ToArray());
        device.Dispose();
        device.Dispose();
        using var y = TensorScope.Detach(Tensor.Empty(device, [3]));
        Assert.Throws<ObjectDisposedException>(() => y.Fill(1));
    }

    [LibraryImport("libc", EntryPoint = "getenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint GetEnvironment(string name);
}

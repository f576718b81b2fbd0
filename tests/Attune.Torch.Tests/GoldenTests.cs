using Attune.Tests;
using Attune.Verification;

namespace Attune.Torch.Tests;

/// <summary>Golden cases of every family by libtorch, at the tolerances at which the managed device holds them.</summary>
public class GoldenTests
{
    private static readonly GoldenFolder Folder = GoldenFolder.Open(Repository.Golden());

    public static TheoryData<string> Cases() => [.. Selected()];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Golden_case_holds_on_libtorch(string name)
    {
        long before = TorchCpu.Device.LiveBytes, handles = TorchCpu.Device.LiveHandles;
        var result = new CaseRunner(Folder, TorchCpu.Device).Run(name);
        Assert.True(result.Verdict == CaseVerdict.Passed, result.ToString());
        Assert.Equal((before, handles), (TorchCpu.Device.LiveBytes, TorchCpu.Device.LiveHandles));
    }

    /// <summary>Of each group that computes on a device a case, a guided one where there is one; `attune verify` runs them all.</summary>
    private static IEnumerable<string> Selected() => Folder.Names
        .Where(name => name.Split('/')[0] is not ("random" or "tokenizers" or "schedulers" or "single-file" or "gguf" or "lycoris"))
        .GroupBy(name => name.Split('/')[0])
        .Select(group => group.FirstOrDefault(name => name.Contains("nag", StringComparison.Ordinal)) ?? group.First());
}

using Attune.Tensors;
using Attune.Tensors.OneDnn;
using Attune.Tests;

namespace Attune.Verification.Tests;

/// <summary>The golden cases of models on the optional device, in the precision in which they must hold.</summary>
public class OneDnnTests
{
    private static readonly GoldenFolder Folder = GoldenFolder.Open(Repository.Golden());

    public static TheoryData<string> Cases() =>
        [
            .. Folder.Names.Where(
                name => name.Split('/')[0] is "flux" or "autoencoders" || name.StartsWith("unet/denoiser", StringComparison.Ordinal))];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Golden_case_holds_with_oneDNN_in_float32(string name)
    {
        if (OneDnnLibrary.TryLoad(out string problem) == null)
            Assert.Skip(problem);
        var result = new CaseRunner(Folder, Devices.Open("onednn")).Run(name);
        Assert.True(result.Verdict == CaseVerdict.Passed, result.ToString());
    }
}

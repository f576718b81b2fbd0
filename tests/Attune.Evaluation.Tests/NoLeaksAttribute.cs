using System.Reflection;
using Attune.Tensors;
using Xunit.v3;

namespace Attune.Evaluation.Tests;

/// <summary>Fails the test when it leaves tensors behind that nobody disposed.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Method)]
public sealed class NoLeaksAttribute : BeforeAfterTestAttribute
{
    private long _before;

    public override void Before(MethodInfo methodUnderTest, IXunitTest test) => _before = TensorMemory.LiveTensors;

    public override void After(MethodInfo methodUnderTest, IXunitTest test) => Assert.Equal(_before, TensorMemory.LiveTensors);
}

using Attune.Tensors;

namespace Attune.Testing;

/// <summary>What tests compute on, unless they say otherwise.</summary>
internal static class TestDevice
{
    /// <summary>The managed CPU device.</summary>
    public static Device Host => Devices.Managed;
}

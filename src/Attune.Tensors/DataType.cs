namespace Attune.Tensors;

/// <summary>The element type of a stored weight. Activations are always float32.</summary>
public enum DataType
{
    /// <summary>IEEE 754 binary32.</summary>
    Float32,

    /// <summary>IEEE 754 binary16.</summary>
    Float16,

    /// <summary>The upper half of a binary32: 8 bits of exponent, 7 of mantissa.</summary>
    BFloat16,
}

/// <summary>Facts about a <see cref="DataType"/>.</summary>
public static class DataTypes
{
    /// <summary>The size of one element in bytes.</summary>
    public static int Size(this DataType type) => type == DataType.Float32 ? 4 : 2;
}

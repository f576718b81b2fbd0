using System.Collections;
using System.Runtime.CompilerServices;

namespace Attune.Tensors;

/// <summary>
/// The extents of a tensor, outermost first; at most <see cref="MaxRank"/> axes. Written as a collection: <c>[2, 64, 3072]</c>.
/// </summary>
[CollectionBuilder(typeof(Shape), nameof(Create))]
public readonly struct Shape : IEquatable<Shape>, IEnumerable<int>
{
    /// <summary>The largest number of axes.</summary>
    public const int MaxRank = 6;

    private readonly Axes _axes;

    private Shape(ReadOnlySpan<int> axes)
    {
        if (axes.Length > MaxRank)
            throw new ArgumentException($"A shape has at most {MaxRank} axes, not {axes.Length}.", nameof(axes));
        Rank = axes.Length;
        for (int i = 0; i < axes.Length; i++)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(axes[i], nameof(axes));
            _axes[i] = axes[i];
        }
    }

    /// <summary>Makes a shape from its extents.</summary>
    /// <exception cref="ArgumentException">More than <see cref="MaxRank"/> axes, or a negative extent.</exception>
    public static Shape Create(ReadOnlySpan<int> axes) => new(axes);

    /// <summary>The number of axes.</summary>
    public int Rank { get; }

    /// <summary>The extent of an axis; <c>shape[^1]</c> is the innermost.</summary>
    public int this[Index axis]
    {
        get
        {
            int i = axis.GetOffset(Rank);
            if ((uint)i >= (uint)Rank)
                throw new ArgumentOutOfRangeException(nameof(axis), $"Axis {axis} of the shape {this}.");
            return _axes[i];
        }
    }

    /// <summary>The number of elements; 1 for a shape without axes.</summary>
    public long Count
    {
        get
        {
            long count = 1;
            for (int i = 0; i < Rank; i++)
                count = checked(count * _axes[i]);
            return count;
        }
    }

    /// <summary>The same shape with another extent on one axis.</summary>
    public Shape With(Index axis, int extent)
    {
        Span<int> axes = stackalloc int[MaxRank];
        CopyTo(axes);
        axes[axis.GetOffset(Rank)] = extent;
        return new Shape(axes[..Rank]);
    }

    /// <summary>The axes of a range: <c>shape.Axes(..^1)</c> is all but the innermost.</summary>
    public Shape Take(Range range)
    {
        Span<int> axes = stackalloc int[MaxRank];
        CopyTo(axes);
        return new Shape(axes[..Rank][range]);
    }

    /// <summary>Copies the extents; <paramref name="destination"/> has room for <see cref="Rank"/> of them.</summary>
    public void CopyTo(Span<int> destination) => ((ReadOnlySpan<int>)_axes)[..Rank].CopyTo(destination);

    /// <inheritdoc/>
    public bool Equals(Shape other) =>
        Rank == other.Rank && ((ReadOnlySpan<int>)_axes)[..Rank].SequenceEqual(((ReadOnlySpan<int>)other._axes)[..Rank]);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Shape other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        for (int i = 0; i < Rank; i++)
            hash.Add(_axes[i]);
        return hash.ToHashCode();
    }

    /// <inheritdoc/>
    public override string ToString() => "[" + string.Join(", ", this) + "]";

    /// <inheritdoc/>
    public IEnumerator<int> GetEnumerator()
    {
        for (int i = 0; i < Rank; i++)
            yield return _axes[i];
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Equality of rank and extents.</summary>
    public static bool operator ==(Shape left, Shape right) => left.Equals(right);

    /// <summary>Inequality of rank or extents.</summary>
    public static bool operator !=(Shape left, Shape right) => !left.Equals(right);

    [InlineArray(MaxRank)]
    private struct Axes
    {
        private int _first;
    }
}

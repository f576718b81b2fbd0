namespace Attune.Imaging;

/// <summary>A height and width in pixels.</summary>
public readonly record struct PixelSize(int Height, int Width);

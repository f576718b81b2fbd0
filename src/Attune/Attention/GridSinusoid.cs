using Attune.Tensors;

namespace Attune.Attention;

/// <summary>
/// Fixed positions of the patches of a picture (the sine-cosine table of DiT): the first half of the channels is sines and cosines of the
/// column, the second of the row. No file holds it.
/// </summary>
internal static class GridSinusoid
{
    /// <summary>The table of a grid of any size.</summary>
    /// <param name="device">Where it is made.</param>
    /// <param name="grid">How the patches lie.</param>
    /// <param name="channels">A multiple of 4.</param>
    /// <param name="trained">Rows and columns of the pictures with which the model was trained: positions of others are stretched to
    /// these.</param>
    /// <param name="scale">What positions are divided by besides.</param>
    /// <returns>[patches, channels].</returns>
    public static Tensor Of(Device device, LatentGrid grid, int channels, int trained, double scale)
    {
        int quarter = channels / 4;
        var table = Tensor.Empty(device, [grid.Count, channels]);
        using var view = table.Write();
        for (int i = 0; i < grid.Count; i++)
        {
            var row = view.Row(i);
            Fill(row[..(2 * quarter)], Position(i % grid.Width, grid.Width));
            Fill(row[(2 * quarter)..], Position(i / grid.Width, grid.Height));
        }
        return table;

        // float32, as the reference has positions; angles are double there too.
        float Position(int at, int count) => at / (float)((double)count / trained) / (float)scale;

        void Fill(Span<float> features, float position)
        {
            for (int i = 0; i < quarter; i++)
            {
                var (sine, cosine) = Math.SinCos(position / Math.Pow(10000, (double)i / quarter));
                (features[i], features[quarter + i]) = ((float)sine, (float)cosine);
            }
        }
    }
}

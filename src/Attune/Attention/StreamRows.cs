using Attune.Tensors;

namespace Attune.Attention;

/// <summary>
/// What a block has made of the rows of a <see cref="TokenStream"/>, and which rows they are. Layers map rows to rows and keep the rest.
/// </summary>
/// <param name="Tensor">[batch, rows, channels].</param>
/// <param name="Layout">What the rows are.</param>
/// <param name="First">Where the first of them stood in the stream when they were made.</param>
/// <param name="Stream">The stream.</param>
internal readonly record struct StreamRows(Tensor Tensor, TokenLayout Layout, int First, TokenStream Stream)
{
    /// <summary>Those rows that query in this block's attention: the live ones, and twins of the latents where a rule reads them.</summary>
    public StreamRows Queries => Only(Stream.Queries);

    /// <summary>Those rows that are read after this block's attention.</summary>
    public StreamRows Live => Only(Stream.Lives);

    /// <summary>The same rows in another form, [batch, rows, channels].</summary>
    public StreamRows With(Tensor tensor) => this with { Tensor = tensor };

    private StreamRows Only(Func<TokenKind, bool> wanted)
    {
        var (start, layout) = Layout.Only(wanted);
        return layout.Length == Layout.Length ? this : new StreamRows(Tensor.Slice(1, start, layout.Length), layout, First + start, Stream);
    }
}

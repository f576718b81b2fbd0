using System.Globalization;
using System.Text;
using System.Xml;
using System.Xml.Linq;
using Attune.Imaging;

namespace Attune.Evaluation.Reports;

/// <summary>Short forms for elements of HTML and SVG. Everything is escaped by the writer.</summary>
public static class Markup
{
    /// <summary>
    /// An element with attributes, of which those that are null are left out, and content: texts, elements or lists of them.
    /// </summary>
    public static XElement Element(string name, IEnumerable<(string Name, object? Value)> attributes, params object?[] content) =>
        new(
            name,
            attributes.Where(attribute => attribute.Value != null)
                .Select(attribute => new XAttribute(attribute.Name, Text(attribute.Value!))),
            content);

    /// <summary>An element of a class.</summary>
    public static XElement Classed(string name, string kind, params object?[] content) => Element(name, [("class", kind)], content);

    /// <summary>A text of a drawing.</summary>
    public static XElement Label(double x, double y, string kind, string anchor, string text) =>
        Element("text", [("x", x), ("y", y), ("class", kind), ("text-anchor", anchor)], text);

    /// <summary>A drawing of some size in pixels, smaller where the page is narrow.</summary>
    public static XElement Drawing(double width, double height, string description, params object?[] content) => Element(
        "svg", [
            ("viewBox", FormattableString.Invariant($"0 0 {width:0.#} {height:0.#}")), ("width", width), ("height", height),
            ("role", "img"), ("aria-label", description)], content);

    /// <summary>A whole page.</summary>
    public static XElement Html(string title, string style, params object?[] body) => Element("html", [("lang", "en")],
        Element("head", [],
            Element("meta", [("charset", "utf-8")]),
            Element("meta", [("name", "viewport"), ("content", "width=device-width, initial-scale=1")]),
            Element("meta", [("name", "generator"), ("content", "Attune")]),
            Element("meta", [("name", "color-scheme"), ("content", "light dark")]),
            Element("title", [], title),
            Element("style", [], style)),
        Element("body", [], body));

    /// <summary>Writes a page as HTML that is well-formed as XML too.</summary>
    public static void Write(XElement page, Stream stream)
    {
        var settings = new XmlWriterSettings {
            Encoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), OmitXmlDeclaration = true, Indent = false };
        using var writer = XmlWriter.Create(stream, settings);
        new XDocument(new XDocumentType("html", null, null, null), page).Save(writer);
    }

    /// <summary>A picture as an address that holds it.</summary>
    public static string DataUri(Image image)
    {
        using var stream = new MemoryStream();
        Png.Write(image, stream);
        return DataUri(stream.GetBuffer().AsSpan(0, (int)stream.Length));
    }

    /// <summary>A PNG file as an address that holds it.</summary>
    public static string DataUri(ReadOnlySpan<byte> png) => $"data:image/png;base64,{Convert.ToBase64String(png)}";

    private static string Text(object value) => value switch
    {
        double number => number.ToString("0.##", CultureInfo.InvariantCulture),
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => (string)value,
    };
}

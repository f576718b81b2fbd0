using System.Globalization;
using System.Xml.Linq;

namespace Attune.Cli.Tracing;

/// <summary>Short forms for elements of HTML and SVG. Everything is escaped by the writer.</summary>
internal static class Markup
{
    /// <summary>An element with attributes, of which those that are null are left out, and content: texts, elements or lists of them.</summary>
    public static XElement Element(string name, IEnumerable<(string Name, object? Value)> attributes, params object?[] content) =>
        new(name, attributes.Where(attribute => attribute.Value != null).Select(attribute => new XAttribute(attribute.Name, Text(attribute.Value!))), content);

    /// <summary>An element of a class.</summary>
    public static XElement Classed(string name, string kind, params object?[] content) => Element(name, [("class", kind)], content);

    /// <summary>A text of a drawing.</summary>
    public static XElement Label(double x, double y, string kind, string anchor, string text) => Element("text", [("x", x), ("y", y), ("class", kind), ("text-anchor", anchor)], text);

    /// <summary>A drawing of some size in pixels, smaller where the page is narrow.</summary>
    public static XElement Drawing(double width, double height, string description, params object?[] content) => Element(
        "svg", [("viewBox", FormattableString.Invariant($"0 0 {width:0.#} {height:0.#}")), ("width", width), ("height", height), ("role", "img"), ("aria-label", description)], content);

    private static string Text(object value) => value switch
    {
        double number => number.ToString("0.##", CultureInfo.InvariantCulture),
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => (string)value,
    };
}

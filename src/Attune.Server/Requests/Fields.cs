using System.Globalization;
using System.Text.Json;
using Attune.Guidance;
using Attune.Generation;

namespace Attune.Server.Requests;

/// <summary>
/// A field of a request: of a JSON object, or a text of a form. Null is as if it were not there, since clients send it so.
/// </summary>
internal readonly record struct Field(string Name, JsonElement Json, string? Form)
{
    /// <summary>As messages show it, which need not repeat a prompt.</summary>
    public string Shown => (Form ?? Json.GetRawText()) is { Length: > 60 } text ? text[..60] + "..." : Form ?? Json.GetRawText();

    public string Text() => Form ?? (Json.ValueKind == JsonValueKind.String ? Json.GetString()! : throw Wrong("a text"));

    public bool Flag() => Form switch
    {
        null => Json.ValueKind is JsonValueKind.True or JsonValueKind.False ? Json.GetBoolean() : throw Wrong("true or false"),
        "true" or "True" or "1" => true,
        "false" or "False" or "0" => false,
        _ => throw Wrong("true or false"),
    };

    public double Number()
    {
        double value = double.NaN;
        if (Form != null)
            _ = double.TryParse(Form, NumberStyles.Float, CultureInfo.InvariantCulture, out value);
        else if (Json.ValueKind == JsonValueKind.Number)
            _ = Json.TryGetDouble(out value);
        return double.IsFinite(value) ? value : throw Wrong("a number");
    }

    /// <summary>An integer of 64 bits; 3.0 is one, as in JSON.</summary>
    public long Integer()
    {
        if (Form != null && long.TryParse(Form, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value))
            return value;
        if (Form == null && Json.ValueKind == JsonValueKind.Number)
        {
            if (Json.TryGetInt64(out value))
                return value;
            if (Json.TryGetDouble(out double number) && number == Math.Floor(number) && Math.Abs(number) < 1L << 53)
                return (long)number;
        }
        throw Wrong("an integer");
    }

    public long Integer(long least, long most)
    {
        long value = Integer();
        string range = string.Create(CultureInfo.InvariantCulture, $"{Name} is {value}, expected {least} to {most}.");
        return value > most ? throw ApiException.Invalid(Name, range, "integer_above_max_value")
            : value < least ? throw ApiException.Invalid(Name, range, "integer_below_min_value") : value;
    }

    /// <summary>One of some words.</summary>
    public string Choice(params ReadOnlySpan<string> known)
    {
        string text = Text();
        return known.Contains(text) ? text : throw Wrong(string.Join(", ", known.ToArray()[..^1]) + " or " + known[^1]);
    }

    /// <summary>Gives a request the value of an option; ranges and forms are the option's.</summary>
    public GenerationRequest Set(RequestOption option, GenerationRequest request)
    {
        try
        {
            if (Form != null)
                return option.Set(request, Form, Name);
            return Json.ValueKind == JsonValueKind.Array && option.Kind == OptionKind.Text
                ? option.Set(request, string.Join(',', Json.EnumerateArray().Select(item => item.GetRawText())), Name)
                : option.Set(request, Json, Name);
        }
        catch (Exception exception) when (exception is FormatException or ArgumentException)
        {
            throw ApiException.Invalid(Name, exception.Message, cause: exception);
        }
    }

    public ApiException Wrong(string expected, string code = "invalid_value") =>
        ApiException.Invalid(Name, $"{Name} is {Shown}, expected {expected}.", code);
}

/// <summary>The fields of a request. What reads them takes them by name; what nobody took is refused.</summary>
internal sealed class Fields
{
    private readonly Dictionary<string, Field> _given = new(StringComparer.Ordinal);
    private readonly HashSet<string> _taken = new(StringComparer.Ordinal);
    private readonly List<string> _ignored = [];

    /// <summary>Those that were read and have no effect.</summary>
    public IReadOnlyList<string> Ignored => _ignored;

    /// <summary>The members of a JSON object.</summary>
    /// <exception cref="ApiException">It is no object.</exception>
    public static Fields Of(JsonElement json)
    {
        if (json.ValueKind != JsonValueKind.Object)
            throw ApiException.Invalid(null, "The body is no JSON object.", "invalid_json");
        var fields = new Fields();
        foreach (var member in json.EnumerateObject())
        {
            if (member.Value.ValueKind is not (JsonValueKind.Null or JsonValueKind.Undefined))
                fields._given[member.Name] = new Field(member.Name, member.Value, null);
        }
        return fields;
    }

    /// <summary>The texts of a form.</summary>
    /// <exception cref="ApiException">A name comes twice.</exception>
    public static Fields Of(IEnumerable<KeyValuePair<string, string>> form)
    {
        var fields = new Fields();
        foreach (var (name, text) in form)
        {
            if (!fields._given.TryAdd(name, new Field(name, default, text)))
                throw ApiException.Invalid(name, $"{name} is given twice.");
        }
        return fields;
    }

    /// <summary>Whether a field is there; it counts as taken no sooner than it is.</summary>
    public bool Has(string name) => _given.ContainsKey(name);

    public Field? Take(string name)
    {
        _taken.Add(name);
        return _given.TryGetValue(name, out var field) ? field : null;
    }

    /// <summary>Takes a field that is checked and does nothing.</summary>
    /// <param name="name">The field.</param>
    /// <param name="check">Throws where the value is none that the field may have.</param>
    public void Ignore(string name, Action<Field> check)
    {
        if (Take(name) is not { } field)
            return;
        check(field);
        _ignored.Add(name);
    }

    /// <summary>Takes whatever nobody took, and ignores it.</summary>
    public void IgnoreRest()
    {
        foreach (string name in _given.Keys.Where(_taken.Add).ToArray())
            _ignored.Add(name);
    }

    /// <summary>Refuses what nobody took.</summary>
    /// <param name="known">Names that were meant, for those that were not read.</param>
    public void RefuseRest(IEnumerable<string> known)
    {
        foreach (string name in _given.Keys)
        {
            if (!_taken.Contains(name))
            {
                string shown = name.Length > 60 ? name[..60] + "..." : name;
                throw ApiException.Invalid(
                    shown, $"Unknown parameter: '{shown}'{Spelling.DidYouMean(shown, known.Concat(_taken))}.", "unknown_parameter");
            }
        }
    }
}

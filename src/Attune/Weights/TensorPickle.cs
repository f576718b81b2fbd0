using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace Attune.Weights;

/// <summary>A storage that a pickle refers to.</summary>
/// <param name="Type">The name of its class: FloatStorage, ...</param>
/// <param name="Key">Its name in the file.</param>
/// <param name="Count">How many elements.</param>
internal sealed record PickledStorage(string Type, string Key, long Count);

/// <summary>A tensor of a pickle.</summary>
/// <param name="Storage">Where its elements are.</param>
/// <param name="Offset">The first one, counted in elements.</param>
/// <param name="Sizes">Its extents.</param>
/// <param name="Strides">From element to element along each axis.</param>
internal sealed record PickledTensor(PickledStorage Storage, long Offset, long[] Sizes, long[] Strides);

/// <summary>
/// Reads a pickle that holds tensors, and the lists, dictionaries, texts and numbers around them. A pickle is a program that may call
/// anything; here nothing is ever called: of the few names that <c>torch.save</c> writes for tensors the meaning is known, and every other
/// name and every other instruction is refused.
/// </summary>
internal sealed class TensorPickle(string path, Func<long, int, byte[]> read, long start)
{
    private const int Deepest = 1 << 16;
    private const int LongestText = 1 << 20;
    private static readonly object Mark = new();

    private readonly List<object?> _stack = [];
    private readonly Dictionary<long, object?> _memo = [];

    /// <summary>Where the pickle ended.</summary>
    public long End { get; private set; } = start;

    /// <summary>
    /// What the pickle holds: null, bool, long, BigInteger, double, string, object?[] for tuples, List, Dictionary, PickledTensor.
    /// </summary>
    /// <exception cref="CheckpointException">It is damaged, or does what is not known.</exception>
    public object? Read()
    {
        try
        {
            while (true)
            {
                long at = End;
                byte code = Next(1)[0];
                if (code == '.')
                    return Pop();
                Step(code, at);
                if (_stack.Count > Deepest)
                    throw Refuse($"its values are nested more than {Deepest} deep", at);
            }
        }
        catch (Exception exception) when (exception is InvalidCastException or ArgumentException or OverflowException)
        {
            throw new CheckpointException($"'{path}': the pickle is damaged near byte {End}: {exception.Message}", exception);
        }
    }

    private void Step(byte code, long at)
    {
        switch (code)
        {
            case 0x80:
                if (Next(1)[0] is > 5 and var protocol)
                    throw Refuse($"it is of protocol {protocol}, expected 2 to 5", at);
                break;
            case 0x95:
                Next(8);
                break;
            case (byte)'(':
                _stack.Add(Mark);
                break;
            case (byte)'}':
                _stack.Add(new Dictionary<object, object?>());
                break;
            case (byte)']':
                _stack.Add(new List<object?>());
                break;
            case (byte)')':
                _stack.Add(Array.Empty<object?>());
                break;
            case (byte)'t':
                _stack.Add(PopToMark());
                break;
            case 0x85 or 0x86 or 0x87:
                object?[] items = new object?[code - 0x84];
                for (int i = items.Length - 1; i >= 0; i--)
                    items[i] = Pop();
                _stack.Add(items);
                break;
            case (byte)'N':
                _stack.Add(null);
                break;
            case 0x88 or 0x89:
                _stack.Add(code == 0x88);
                break;
            case (byte)'J':
                _stack.Add((long)BinaryPrimitives.ReadInt32LittleEndian(Next(4)));
                break;
            case (byte)'K':
                _stack.Add((long)Next(1)[0]);
                break;
            case (byte)'M':
                _stack.Add((long)BinaryPrimitives.ReadUInt16LittleEndian(Next(2)));
                break;
            case 0x8a:
                var number = new BigInteger(Next(Next(1)[0]));
                _stack.Add(number >= long.MinValue && number <= long.MaxValue ? (object)(long)number : number);
                break;
            case (byte)'G':
                _stack.Add(BinaryPrimitives.ReadDoubleBigEndian(Next(8)));
                break;
            case (byte)'U' or 0x8c:
                _stack.Add(Text(Next(1)[0]));
                break;
            case (byte)'T' or (byte)'X':
                _stack.Add(Text(BinaryPrimitives.ReadInt32LittleEndian(Next(4))));
                break;
            case (byte)'q':
                _memo[Next(1)[0]] = Top();
                break;
            case (byte)'r':
                _memo[BinaryPrimitives.ReadUInt32LittleEndian(Next(4))] = Top();
                break;
            case 0x94:
                _memo[_memo.Count] = Top();
                break;
            case (byte)'h':
                _stack.Add(Recall(Next(1)[0]));
                break;
            case (byte)'j':
                _stack.Add(Recall(BinaryPrimitives.ReadUInt32LittleEndian(Next(4))));
                break;
            case (byte)'s':
                object? value = Pop(), key = Pop();
                Set(Top(), key, value);
                break;
            case (byte)'u':
                object?[] pairs = PopToMark();
                for (int i = 0; i + 1 < pairs.Length; i += 2)
                    Set(Top(), pairs[i], pairs[i + 1]);
                break;
            case (byte)'a':
                object? item = Pop();
                ((List<object?>)Top()!).Add(item);
                break;
            case (byte)'e':
                object?[] added = PopToMark();
                ((List<object?>)Top()!).AddRange(added);
                break;
            case (byte)'c':
                string module = Line();
                _stack.Add(Known(module, Line(), at));
                break;
            case 0x93:
                string last = (string)Pop()!;
                _stack.Add(Known((string)Pop()!, last, at));
                break;
            case (byte)'Q':
                _stack.Add(Storage(Pop(), at));
                break;
            case (byte)'R':
                object? arguments = Pop();
                _stack.Add(Make((Name)Pop()!, (object?[])arguments!, at));
                break;
            case (byte)'b':
                // Attributes of a dictionary (_metadata: versions of modules): nothing that weights need.
                Pop();
                if (Top() is not Dictionary<object, object?>)
                    throw Refuse("it sets attributes of an object", at);
                break;
            default:
                throw Refuse($"it holds the instruction 0x{code:x2}, which files of tensors do not need", at);
        }
    }

    /// <summary>A name of the few that are known.</summary>
    private Name Known(string module, string name, long at)
    {
        bool known = (module, name) is ("collections", "OrderedDict") or ("torch._utils", "_rebuild_tensor_v2")
                or ("torch._utils", "_rebuild_parameter")
            || (module is "torch" && TorchFile.TypeOf(name) != null);
        return known ? new Name(name)
            : throw Refuse($"it names {module}.{name}, which is code and no tensor; nothing of a file is ever run", at);
    }

    private object? Make(Name name, object?[] arguments, long at)
    {
        switch (name.Text)
        {
            case "OrderedDict":
                var made = new Dictionary<object, object?>();
                foreach (object? pair in arguments.Length == 0 ? [] : (List<object?>)arguments[0]!)
                {
                    // Protocol 2 writes pairs as lists.
                    IList<object?> both = pair as List<object?> ?? (IList<object?>)(object?[])pair!;
                    made[both[0]!] = both[1];
                }
                return made;
            case "_rebuild_tensor_v2":
                long[] sizes = Numbers(arguments[2]), strides = Numbers(arguments[3]);
                long offset = (long)arguments[1]!;
                if (sizes.Length != strides.Length || offset < 0 || sizes.Any(size => size < 0) || strides.Any(stride => stride < 0))
                    throw Refuse("a tensor's extents and strides do not fit", at);
                return new PickledTensor((PickledStorage)arguments[0]!, offset, sizes, strides);
            case "_rebuild_parameter":
                return (PickledTensor)arguments[0]!;
            default:
                throw Refuse($"it calls {name.Text}", at);
        }
    }

    private PickledStorage Storage(object? id, long at) =>
        id is object?[] { Length: >= 5 } parts && parts[0] is "storage" && parts[1] is Name type && parts[2] is string key
            && parts[4] is long count and >= 0 && TorchFile.TypeOf(type.Text) != null
            && (parts.Length == 5 || parts[5] == null)
            ? new PickledStorage(type.Text, key, count)
            : throw Refuse("it refers to something outside that is no storage of a tensor", at);

    private static long[] Numbers(object? tuple) => [.. ((object?[])tuple!).Select(value => (long)value!)];

    private static void Set(object? dictionary, object? key, object? value) => ((Dictionary<object, object?>)dictionary!)[key!] = value;

    private string Text(int length) => length is >= 0 and <= LongestText ? Encoding.UTF8.GetString(Next(length))
        : throw Refuse($"a text has {length} bytes", End);

    private string Line()
    {
        var text = new StringBuilder();
        for (byte next = Next(1)[0]; next != '\n'; next = Next(1)[0])
        {
            if (text.Length == 256)
                throw Refuse("a name is longer than 256 characters", End);
            text.Append((char)next);
        }
        return text.ToString();
    }

    private byte[] Next(int count)
    {
        byte[] bytes = read(End, count);
        End += count;
        return bytes;
    }

    private object? Top() => _stack.Count > 0 ? _stack[^1] : throw new ArgumentException("a value is missing");

    private object? Pop()
    {
        object? value = Top();
        _stack.RemoveAt(_stack.Count - 1);
        return value;
    }

    private object?[] PopToMark()
    {
        int mark = _stack.LastIndexOf(Mark);
        if (mark < 0)
            throw new ArgumentException("a mark is missing");
        object?[] items = [.. _stack[(mark + 1)..]];
        _stack.RemoveRange(mark, _stack.Count - mark);
        return items;
    }

    private object? Recall(long place) =>
        _memo.TryGetValue(place, out object? value) ? value : throw new ArgumentException($"value {place} is missing");

    private CheckpointException Refuse(string what, long at) => new($"'{path}' is refused at byte {at} of its pickle: {what}.");

    private sealed record Name(string Text);
}

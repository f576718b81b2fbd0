using System.Buffers.Binary;
using System.Text;
using Attune.Weights;

namespace Attune.Tokenizers;

/// <summary>What a piece of a SentencePiece model is for, with the numbers of sentencepiece_model.proto.</summary>
internal enum PieceType
{
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// <summary>A SentencePiece model, a protocol buffer, as far as tokenizers need it.</summary>
internal sealed class SentencePieceFile
{
    private const int Unigram = 1;
    private readonly string _file;

    private SentencePieceFile(string file) => _file = file;

    public List<(string Piece, double Score, PieceType Type)> Pieces { get; } = [];

    /// <summary>The id of the unknown piece.</summary>
    public int UnknownId { get; private set; }

    /// <summary>Whether the model is a unigram model, and not for example byte-pair encoding.</summary>
    public bool IsUnigram { get; private set; } = true;

    /// <summary>The compiled map of the normaliser; may be empty.</summary>
    public byte[] CharacterMap { get; private set; } = [];

    /// <summary>Reads a file.</summary>
    /// <exception cref="CheckpointException">The file is malformed.</exception>
    public static SentencePieceFile Read(string file)
    {
        var model = new SentencePieceFile(file);
        byte[] bytes = File.ReadAllBytes(file);
        for (var fields = new Fields(file, bytes); fields.Next();)
        {
            if (fields.Number == 1)
                model.ReadPiece(fields.Bytes);
            else if (fields.Number == 2)
                model.ReadTrainer(fields.Bytes);
            else if (fields.Number == 3)
                model.ReadNormalizer(fields.Bytes);
        }
        return model.Pieces.Count > 0 ? model : throw new CheckpointException($"'{file}' is no SentencePiece model: it holds no pieces.");
    }

    private void ReadPiece(ReadOnlySpan<byte> message)
    {
        string piece = "";
        float score = 0;
        var type = PieceType.Normal;
        for (var fields = new Fields(_file, message); fields.Next();)
        {
            if (fields.Number == 1)
                piece = Encoding.UTF8.GetString(fields.Bytes);
            else if (fields.Number == 2)
                score = BitConverter.UInt32BitsToSingle((uint)fields.Value);
            else if (fields.Number == 3)
                type = (PieceType)fields.Value;
        }
        Pieces.Add((piece, score, type));
    }

    private void ReadTrainer(ReadOnlySpan<byte> message)
    {
        for (var fields = new Fields(_file, message); fields.Next();)
        {
            if (fields.Number == 3)
                IsUnigram = fields.Value == Unigram;
            else if (fields.Number == 40)
                UnknownId = (int)Math.Min(fields.Value, int.MaxValue);
        }
    }

    private void ReadNormalizer(ReadOnlySpan<byte> message)
    {
        for (var fields = new Fields(_file, message); fields.Next();)
        {
            if (fields.Number == 2)
                CharacterMap = fields.Bytes.ToArray();
        }
    }

    /// <summary>The fields of a message, in the wire format of protocol buffers.</summary>
    private ref struct Fields(string file, ReadOnlySpan<byte> message)
    {
        private readonly ReadOnlySpan<byte> _message = message;
        private int _at;

        public ulong Number { get; private set; }

        /// <summary>The content of a field of variable length.</summary>
        public ReadOnlySpan<byte> Bytes { get; private set; }

        /// <summary>The value of another field.</summary>
        public ulong Value { get; private set; }

        public bool Next()
        {
            if (_at == _message.Length)
                return false;
            ulong key = Varint();
            Number = key >> 3;
            Bytes = default;
            Value = 0;
            switch (key & 7)
            {
                case 0:
                    Value = Varint();
                    break;
                case 1:
                    Value = BinaryPrimitives.ReadUInt64LittleEndian(Take(8));
                    break;
                case 2:
                    Bytes = Take(Varint());
                    break;
                case 5:
                    Value = BinaryPrimitives.ReadUInt32LittleEndian(Take(4));
                    break;
                default:
                    throw Malformed($"a field of wire type {key & 7}");
            }
            return true;
        }

        private ulong Varint()
        {
            ulong value = 0;
            for (int shift = 0; shift < 64 && _at < _message.Length; shift += 7)
            {
                byte part = _message[_at++];
                value |= (ulong)(part & 0x7F) << shift;
                if (part < 0x80)
                    return value;
            }
            throw Malformed("a number without an end");
        }

        private ReadOnlySpan<byte> Take(ulong length)
        {
            if (length > (ulong)(_message.Length - _at))
                throw Malformed($"a field of {length} bytes, beyond the end");
            _at += (int)length;
            return _message.Slice(_at - (int)length, (int)length);
        }

        private readonly CheckpointException Malformed(string what) =>
            new($"'{file}' is no SentencePiece model: {what} at byte {_at} of a message.");
    }
}

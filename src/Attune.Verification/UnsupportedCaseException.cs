namespace Attune.Verification;

/// <summary>A case asks for something that is not implemented; the message says what.</summary>
internal sealed class UnsupportedCaseException(string what) : Exception(what);

#!/usr/bin/env bash
# Microsoft.ML.OnnxRuntime 1.31.1, x64 CPU: a graph whose every tensor is float16.
# One would guess: each node's result is a float16, so 300 * 300 is infinity, and dividing by 300 leaves infinity; at the latest with all
#   graph optimisations off, since the pair of casts that the CPU provider puts between two nodes changes values and must stay.
# What happens: the result is 300, with ORT_DISABLE_ALL too. Between nodes without a float16 kernel the runtime stays in float32 and drops
#   the casts. Made an output of the same graph, the very tensor in the middle reads infinity, while what is computed from it is 300.
# Why it matters: a float16 export that "works" on the CPU says nothing about overflow on a GPU (SDXL's autoencoder is the known case), and
#   looking for the infinity by adding outputs shows values that no later node has seen.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
cat > p.csproj <<'E'
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType><TargetFramework>net10.0</TargetFramework><ImplicitUsings>enable</ImplicitUsings>
  </PropertyGroup>
  <ItemGroup><PackageReference Include="Microsoft.ML.OnnxRuntime" Version="[1.31.1]" /></ItemGroup>
</Project>
E
cat > Onnx.cs <<'E'
using System.Text;
/// <summary>Just enough of ONNX's protobuf to write a graph of a few nodes.</summary>
static class Onnx
{
    static byte[] Varint(long v) => v < 128 ? [(byte)v] : [(byte)(v & 127 | 128), .. Varint(v >> 7)];
    public static byte[] Int(int field, long v) => [.. Varint(field << 3), .. Varint(v)];
    public static byte[] Part(int field, params byte[][] parts) =>
        [.. Varint(field << 3 | 2), .. Varint(parts.Sum(p => p.Length)), .. parts.SelectMany(p => p)];
    public static byte[] Text(int field, string s) => Part(field, Encoding.UTF8.GetBytes(s));
    public static byte[] Node(string op, string[] from, string to, params byte[][] more) =>
        Part(1, [.. from.Select(f => Text(1, f)), Text(2, to), Text(4, op), .. more]);
    public static byte[] Value(int field, string name, int type) => Part(field, Text(1, name), Part(2, Part(1, Int(1, type))));
    public static byte[] Model(int opset, params byte[][] graph) =>
        [.. Int(1, 8), .. Part(7, [.. graph, Text(2, "g")]), .. Part(8, Int(2, opset))];
}
E
cat > Program.cs <<'E'
using Microsoft.ML.OnnxRuntime;
Console.WriteLine($"ONNX Runtime {OrtEnv.Instance().GetVersionString()}, CPU");
const int Half = 10;
(float Product, float Quotient) Run(GraphOptimizationLevel level, bool productIsOutput)
{
    byte[][] graph = [Onnx.Node("Mul", ["x", "x"], "product"), Onnx.Node("Div", ["product", "x"], "quotient"),
        Onnx.Value(11, "x", Half), Onnx.Value(12, "quotient", Half)];
    if (productIsOutput)
        graph = [.. graph, Onnx.Value(12, "product", Half)];
    using var session = new InferenceSession(Onnx.Model(17, graph), new SessionOptions { GraphOptimizationLevel = level });
    using var x = OrtValue.CreateTensorValueFromMemory(new[] { (Float16)300f }, [1]);
    using var run = new RunOptions();
    using var got = session.Run(run, new Dictionary<string, OrtValue> { ["x"] = x }, session.OutputNames);
    float At(string name) => (float)got[session.OutputNames.ToList().IndexOf(name)].GetTensorDataAsSpan<Float16>()[0];
    return (productIsOutput ? At("product") : float.NaN, At("quotient"));
}
bool still = true;
foreach (var level in new[] { GraphOptimizationLevel.ORT_ENABLE_ALL, GraphOptimizationLevel.ORT_DISABLE_ALL })
{
    var (hidden, shown) = (Run(level, false), Run(level, true));
    Console.WriteLine($"{level}: 300 * 300 / 300 = {hidden.Quotient}; with the product as an output: product {shown.Product}, " +
        $"quotient {shown.Quotient}");
    still &= hidden.Quotient == 300 && shown.Quotient == 300 && float.IsInfinity(shown.Product);
}
return still ? 0 : 1;
E
nice -n 5 dotnet build -c Release -o out -v q -clp:ErrorsOnly -nologo >&2
dotnet out/p.dll

#!/usr/bin/env bash
# System.Numerics.Tensors 10.0.15 (.NET 10): TensorPrimitives.Average and StdDev of float.
# One would guess: vectorised sums have 4 to 16 running totals and are good to six digits; a deviation is computed in two passes and cannot
#   be far off for a million values.
# What happens: each lane is one float total over its whole share, without blocks or pairs. A million values around 10000 with a standard
#   deviation of 0.1 have an "average" nine below the smallest of them and a "deviation" ninety times too large (8 lanes).
#   Three million equal values (a 1024 x 1024 picture) have an average that none of them has. LINQ's Average (double inside) is right.
# Why it matters: means of pictures, statistics of group norm and of latents are the obvious use. Sum in blocks, or in double.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
cat > p.csproj <<'E'
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType><TargetFramework>net10.0</TargetFramework><ImplicitUsings>enable</ImplicitUsings>
  </PropertyGroup>
  <ItemGroup><PackageReference Include="System.Numerics.Tensors" Version="[10.0.15]" /></ItemGroup>
</Project>
E
cat > Program.cs <<'E'
using System.Numerics.Tensors;
var version = typeof(TensorPrimitives).Assembly.GetName().Version;
Console.WriteLine($"System.Numerics.Tensors {version}, .NET {Environment.Version}");
var random = new Random(1);
double Normal() => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
var noisy = Enumerable.Range(0, 1_000_000).Select(_ => (float)(10000 + 0.1 * Normal())).ToArray();
var flat = Enumerable.Repeat(127.3f, 3 * 1024 * 1024).ToArray();
bool changed = false;
foreach (var (name, values) in new[] { ("10000 + 0.1 n, a million", noisy), ("127.3, 3 x 1024 x 1024", flat) })
{
    float average = TensorPrimitives.Average<float>(values), deviation = TensorPrimitives.StdDev<float>(values);
    double mean = values.Average(v => (double)v), true_ = Math.Sqrt(values.Average(v => (v - mean) * (v - mean)));
    Console.WriteLine($"{name}: Average {average}, StdDev {deviation}; in double {mean:F4}, {true_:F4}; " +
        $"smallest {values.Min()}, largest {values.Max()}");
    changed |= average >= values.Min() && average <= values.Max() || deviation < 1.01 * true_;
}
return changed ? 1 : 0;
E
nice -n 5 dotnet build -c Release -o out -v q -clp:ErrorsOnly -nologo >&2
dotnet out/p.dll

using Attune.Benchmarks;
using BenchmarkDotNet.Running;

if (args is ["--quick", ..])
    return Quick.Run(args[1..]);
BenchmarkSwitcher.FromAssembly(typeof(LinearBenchmark).Assembly).Run(args);
return 0;

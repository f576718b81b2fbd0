using Attune.Benchmarks;
using BenchmarkDotNet.Running;

if (args is ["--attention", ..])
    return AttentionQuick.Run(args[1..]);
if (args is ["--bandwidth", ..])
    return BandwidthQuick.Run(args[1..]);
if (args is ["--eigenvalues", ..])
    return EigenvaluesQuick.Run(args[1..]);
if (args is ["--quick", ..])
    return Quick.Run(args[1..]);
BenchmarkSwitcher.FromAssembly(typeof(LinearBenchmark).Assembly).Run(args);
return 0;

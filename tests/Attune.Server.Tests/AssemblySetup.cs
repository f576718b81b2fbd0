// Servers share the cores, and some tests count all tensors of the process.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

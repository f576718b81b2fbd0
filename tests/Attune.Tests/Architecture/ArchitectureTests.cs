using System.Reflection;
using System.Reflection.Emit;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace Attune.Tests.Architecture;

/// <summary>
/// Who may know whom. Read from the compiled assembly: signatures, base types, fields, and every type that a method body names.
/// </summary>
public class ArchitectureTests
{
    /// <summary>For each namespace of the library, the others that it may use.</summary>
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Attune.Weights"] = [],
        ["Attune.Layers"] = ["Attune.Weights"],
        ["Attune.Attention"] = ["Attune.Layers", "Attune.Weights"],
        ["Attune.Models"] =
        [
            "Attune.Attention", "Attune.Autoencoders", "Attune.Latents", "Attune.Layers", "Attune.Prompts", "Attune.Schedulers",
            "Attune.TextEncoders", "Attune.Tokenizers", "Attune.Weights",
        ],
        ["Attune.Prompts"] = ["Attune.Imaging", "Attune.TextEncoders", "Attune.Tokenizers"],
        ["Attune.Latents"] = ["Attune.Attention", "Attune.Autoencoders", "Attune.Imaging"],
        ["Attune.Guidance"] = ["Attune.Attention"],
        ["Attune.Caching"] = ["Attune.Attention", "Attune.Guidance"],
        ["Attune.TextEncoders"] = ["Attune.Imaging", "Attune.Layers", "Attune.Weights"],
        ["Attune.Autoencoders"] = ["Attune.Layers", "Attune.Weights"],
        ["Attune.Schedulers"] = ["Attune.Weights"],
        ["Attune.Tokenizers"] = ["Attune.Weights"],
        ["Attune.Imaging"] = [],
        ["Attune"] = [],
    };

    private static readonly Dictionary<short, OperandType> Instructions =
        typeof(OpCodes)
            .GetFields(BindingFlags.Public | BindingFlags.Static)
            .Select(field => (OpCode)field.GetValue(null)!)
            .ToDictionary(code => code.Value, code => code.OperandType);

    [Fact]
    public void Namespaces_use_only_what_they_may()
    {
        var violations = Uses(typeof(Attune.Generation.DiffusionPipeline).Assembly)
            .Where(use => use.From != use.To && use.From != "Attune.Generation" && use.To != "Attune")
            .Where(use => !Allowed.TryGetValue(use.From, out string[]? allowed) || !allowed.Contains(use.To))
            .Select(use => $"{use.From} uses {use.To} ({use.What})")
            .Distinct()
            .Order();
        Assert.Empty(violations);
    }

    [Fact]
    public void The_check_sees_what_pipelines_use() =>
        Assert.Contains(
            Uses(typeof(Attune.Generation.DiffusionPipeline).Assembly), use => use is { From: "Attune.Generation", To: "Attune.Models" });

    /// <summary>Rules and the attention seam are formulas of tensors: how a device computes them is the engine's business.</summary>
    [Fact]
    public void Rules_hold_formulas_and_no_vectors()
    {
        string[] files =
        [
            .. Directory.GetFiles(Path.Combine(Repository.Root, "src", "Attune", "Guidance"), "*.cs"),
            .. Directory.GetFiles(Path.Combine(Repository.Root, "src", "Attune", "Attention"), "*.cs"),
            .. Directory.GetFiles(Path.Combine(Repository.Root, "samples", "CustomRule"), "*.cs"),
        ];
        Assert.True(files.Length > 30);
        string[] words = ["Vector128", "Vector256", "Vector512", "System.Runtime.Intrinsics", "MemoryMarshal", "unsafe"];
        Assert.DoesNotContain(files, file => words.Any(word => File.ReadAllText(file).Contains(word, StringComparison.Ordinal)));
    }

    [Fact]
    public void The_engine_references_nothing_of_the_library() =>
        Assert.DoesNotContain(
            typeof(Attune.Tensors.Tensor).Assembly.GetReferencedAssemblies(),
            name => name.Name!.StartsWith("Attune", StringComparison.OrdinalIgnoreCase));

    /// <summary>Pairs of namespaces of which the first uses the second, outside of Attune.Tensors.</summary>
    private static List<(string From, string To, string What)> Uses(Assembly assembly)
    {
        var uses = new List<(string, string, string)>();
        using var file = new PEReader(File.OpenRead(assembly.Location));
        var reader = file.GetMetadataReader();
        foreach (var handle in reader.TypeDefinitions)
        {
            var type = reader.GetTypeDefinition(handle);
            string from = Room(OuterNamespace(reader, handle));
            if (from.Length == 0)
                continue;
            string name = reader.GetString(type.Name);
            void Use(Type? used)
            {
                foreach (var part in Parts(used))
                {
                    if (part.Assembly == assembly && Room(part.Namespace ?? "") is { Length: > 0 } to)
                        uses.Add((from, to, $"{name} uses {part.Name}"));
                }
            }

            var loaded = assembly.ManifestModule.ResolveType(MetadataTokens.GetToken(handle));
            const BindingFlags All =
                BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
            Use(loaded.BaseType);
            Array.ForEach(loaded.GetInterfaces(), Use);
            foreach (var field in loaded.GetFields(All))
                Use(field.FieldType);
            foreach (var method in loaded.GetMethods(All).Cast<MethodBase>().Concat(loaded.GetConstructors(All)))
            {
                Use((method as MethodInfo)?.ReturnType);
                foreach (var parameter in method.GetParameters())
                    Use(parameter.ParameterType);
                if (method.GetMethodBody() is not { } body)
                    continue;
                foreach (var local in body.LocalVariables)
                    Use(local.LocalType);
                foreach (var member in Members(assembly.ManifestModule, method, body.GetILAsByteArray()!))
                    Use(member as Type ?? member.DeclaringType);
            }
        }
        return uses;
    }

    /// <summary>
    /// The members that a method body's instructions name. Operands that are no tokens are skipped: a constant may look like one.
    /// </summary>
    private static IEnumerable<MemberInfo> Members(Module module, MethodBase method, byte[] il)
    {
        Type[]? typeArguments = method.DeclaringType is { IsGenericType: true } type ? type.GetGenericArguments() : null;
        Type[]? methodArguments = method.IsGenericMethod ? method.GetGenericArguments() : null;
        for (int i = 0; i < il.Length;)
        {
            int code = il[i++];
            if (code == 0xFE)
                code = code << 8 | il[i++];
            var operand = Instructions[(short)code];
            if (operand is OperandType.InlineMethod or OperandType.InlineField or OperandType.InlineType or OperandType.InlineTok)
                yield return module.ResolveMember(BitConverter.ToInt32(il, i), typeArguments, methodArguments)!;
            i += operand switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + 4 * BitConverter.ToInt32(il, i),
                _ => 4,
            };
        }
    }

    private static IEnumerable<Type> Parts(Type? type)
    {
        if (type == null)
            yield break;
        if (type.HasElementType)
        {
            foreach (var part in Parts(type.GetElementType()))
                yield return part;
            yield break;
        }
        yield return type;
        foreach (var argument in type.IsGenericType ? type.GetGenericArguments() : [])
        {
            foreach (var part in Parts(argument))
                yield return part;
        }
    }

    private static string OuterNamespace(MetadataReader reader, TypeDefinitionHandle handle)
    {
        var type = reader.GetTypeDefinition(handle);
        while (!type.GetDeclaringType().IsNil)
            type = reader.GetTypeDefinition(type.GetDeclaringType());
        return reader.GetString(type.Namespace);
    }

    /// <summary>Attune.Models.Flux is in the room Attune.Models.</summary>
    private static string Room(string name) =>
        name.StartsWith("Attune", StringComparison.Ordinal) ? string.Join('.', name.Split('.').Take(2)) : "";
}

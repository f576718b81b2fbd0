using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;

namespace Attune.Tests.Architecture;

/// <summary>
/// The public surface is approved as a text file. To approve a change, copy PublicApi.received.txt over PublicApi.approved.txt.
/// </summary>
public class PublicApiTests
{
    [Fact]
    public void The_public_api_is_the_approved_one()
    {
        string folder = Folder();
        string actual = Describe(typeof(Tensors.Tensor).Assembly) + Describe(
            typeof(Attune.Generation.DiffusionPipeline).Assembly) + Describe(typeof(Attune.Evaluation.Metrics.Judge).Assembly)
            + Describe(typeof(Attune.Verification.CaseRunner).Assembly) + Describe(typeof(Attune.Media.Skia.SkiaFormats).Assembly)
            + Describe(typeof(Attune.Extensions.AI.AttuneImageGenerator).Assembly)
            + Describe(typeof(Attune.Torch.TorchDevice).Assembly);
        string approved = Path.Combine(folder, "..", "PublicApi.approved.txt");
        string received = Path.Combine(folder, "..", "PublicApi.received.txt");
        if (File.Exists(approved) && File.ReadAllText(approved) == actual)
        {
            File.Delete(received);
            return;
        }
        File.WriteAllText(received, actual);
        var known = File.Exists(approved) ? File.ReadAllLines(approved) : [];
        var lines = actual.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Fail(
            "The public API changed:\n" + string.Join(
                '\n',
                lines.Except(known)
                    .Select(l => "+ " + l)
                    .Concat(known.Except(lines).Where(l => l.Length > 0).Select(l => "- " + l))
                    .Take(60)));
    }

    private static string Folder([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;

    private static string Describe(Assembly assembly)
    {
        var text = new StringBuilder();
        foreach (var type in assembly.GetExportedTypes().OrderBy(type => type.FullName, StringComparer.Ordinal))
        {
            text.Append(Kind(type)).Append(' ').Append(NameOf(type));
            var parents = new[] { type.BaseType }.Where(
                t => t != null && t != typeof(object) && t != typeof(ValueType) && t != typeof(Enum))
                .Concat(type.GetInterfaces().Where(i => i.IsPublic && !i.IsGenericType))
                .Select(t => NameOf(t!))
                .Order(StringComparer.Ordinal);
            if (parents.Any())
                text.Append(" : ").AppendJoin(", ", parents);
            text.Append('\n');
            const BindingFlags Declared =
                BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
            var members = type.GetMembers(Declared)
                .Where(Visible)
                .Select(Signature)
                .Where(line => line.Length > 0)
                .Distinct()
                .Order(StringComparer.Ordinal);
            foreach (string member in members)
                text.Append("  ").Append(member).Append('\n');
        }
        return text.ToString();
    }

    private static string Kind(Type type) =>
        type.IsEnum
            ? "enum"
            : type.IsInterface ? "interface"
            : type.IsValueType ? "struct"
            : typeof(Delegate).IsAssignableFrom(type) ? "delegate"
        : type is { IsAbstract: true, IsSealed: true }
            ? "static class"
            : type.IsAbstract ? "abstract class"
            : type.IsSealed ? "sealed class"
            : "class";

    private static bool Visible(MemberInfo member) => member switch
    {
        MethodBase method =>
            (method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly)
                && !(method.IsSpecialName && method is MethodInfo && !method.Name.StartsWith("op_", StringComparison.Ordinal))
                && !method.Name.Contains('<', StringComparison.Ordinal),
        FieldInfo field => (field.IsPublic || field.IsFamily) && !field.IsSpecialName,
        PropertyInfo property => Visible(property.GetMethod ?? property.SetMethod!, accessor: true),
        EventInfo => true,
        _ => false,
    };

    private static bool Visible(MethodInfo method, bool accessor) =>
        accessor && (method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly) && method.Name != "get_EqualityContract";

    private static string Signature(MemberInfo member) => member switch
    {
        ConstructorInfo constructor => $"new({Parameters(constructor)})",
        MethodInfo method => $"{(method.IsStatic ? "static " : "")}{NameOf(method.ReturnType)} {method.Name}"
            + (method.IsGenericMethod ? $"<{string.Join(", ", method.GetGenericArguments().Select(NameOf))}>" : "")
            + $"({Parameters(method)})",
        FieldInfo field =>
            field.DeclaringType!.IsEnum
                ? $"{field.Name} = {Convert.ToInt64(field.GetRawConstantValue(), System.Globalization.CultureInfo.InvariantCulture)}"
                : $"{(field.IsStatic ? "static " : "")}{NameOf(field.FieldType)} {field.Name}",
        PropertyInfo property => $"{((property.GetMethod ?? property.SetMethod)!.IsStatic ? "static " : "")}"
            + $"{NameOf(property.PropertyType)} {property.Name}{Indices(property)} {{{Accessors(property)} }}",
        _ => member.ToString() ?? "",
    };

    private static string Indices(PropertyInfo property) => property.GetIndexParameters() is { Length: > 0 } indices
        ? $"[{string.Join(", ", indices.Select(p => NameOf(p.ParameterType)))}]" : "";

    private static string Accessors(PropertyInfo property)
    {
        string get = property.GetMethod is { IsPublic: true } ? " get;" : "";
        if (property.SetMethod is not { IsPublic: true } setter)
            return get;
        return get + (setter.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit)) ? " init;" : " set;");
    }

    private static string Parameters(MethodBase method) =>
        string.Join(
            ", ",
            method.GetParameters()
                .Select(p => $"{NameOf(p.ParameterType)} {p.Name}{(p.HasDefaultValue ? " = " + (p.DefaultValue ?? "default") : "")}"));

    private static string NameOf(Type type)
    {
        if (type.IsByRef)
            return "ref " + NameOf(type.GetElementType()!);
        if (type.IsPointer)
            return NameOf(type.GetElementType()!) + "*";
        if (type.IsArray)
            return NameOf(type.GetElementType()!) + "[]";
        if (type.IsGenericParameter)
            return type.Name;
        string name = type.IsNested
            ? $"{NameOf(type.DeclaringType!)}.{type.Name}"
            : type.Namespace?.StartsWith("Attune", StringComparison.Ordinal) == true ? $"{type.Namespace}.{type.Name}"
            : type.Name;
        return type.IsGenericType ? $"{name.Split('`')[0]}<{string.Join(", ", type.GetGenericArguments().Select(NameOf))}>" : name;
    }
}

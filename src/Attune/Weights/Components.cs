namespace Attune.Weights;

/// <summary>Components that are opened one after the other: if a later one fails, the earlier ones are closed.</summary>
public sealed class Components
{
    private readonly List<IDisposable> _opened = [];

    private Components()
    {
    }

    /// <summary>Takes a component that was opened, to close it if building fails.</summary>
    /// <returns>The component.</returns>
    public T Add<T>(T component)
        where T : IDisposable
    {
        _opened.Add(component);
        return component;
    }

    /// <summary>Builds something of components, which belong to it from then on.</summary>
    /// <param name="build">Opens the components and adds each of them.</param>
    public static T Build<T>(Func<Components, T> build)
    {
        ArgumentNullException.ThrowIfNull(build);
        var components = new Components();
        try
        {
            return build(components);
        }
        catch
        {
            components._opened.ForEach(component => component.Dispose());
            throw;
        }
    }
}

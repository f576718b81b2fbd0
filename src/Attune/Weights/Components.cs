namespace Attune.Weights;

/// <summary>Components that are opened one after the other: if a later one fails, the earlier ones are closed.</summary>
internal sealed class Components
{
    private readonly List<IDisposable> _opened = [];

    public T Add<T>(T component)
        where T : IDisposable
    {
        _opened.Add(component);
        return component;
    }

    public static T Build<T>(Func<Components, T> build)
    {
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

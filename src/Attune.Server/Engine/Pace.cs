namespace Attune.Server.Engine;

/// <summary>How long pictures take, learnt from those that were made: a moving mean of the seconds for each step, by model.</summary>
internal sealed class Pace
{
    /// <summary>How much the last picture counts.</summary>
    private const double Newest = 0.3;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, double> _secondsPerStep = new(StringComparer.Ordinal);

    /// <summary>A picture was made.</summary>
    public void Learn(ModelInfo model, int steps, double seconds)
    {
        lock (_gate)
        {
            double now = seconds / Math.Max(steps, 1);
            _secondsPerStep[model.Name] = _secondsPerStep.TryGetValue(model.Name, out double mean) ? mean + (Newest * (now - mean)) : now;
        }
    }

    /// <summary>How many seconds a picture of a job will take; a second where nothing is known.</summary>
    public double SecondsOf(JobRequest request)
    {
        lock (_gate)
            return _secondsPerStep.TryGetValue(request.Model.Name, out double mean) ? mean * request.ExpectedSteps : 1;
    }
}

using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>What a model predicts.</summary>
internal enum Prediction
{
    /// <summary>The noise.</summary>
    Epsilon,

    /// <summary>The clean sample.</summary>
    Sample,

    /// <summary>alpha noise - sigma clean: Salimans and Ho, arXiv 2202.00512.</summary>
    Velocity,

    /// <summary>noise - clean, along the straight path of flow matching.</summary>
    Flow,
}

/// <summary>The conversions between predictions, for latents alpha clean + sigma noise.</summary>
internal static class Predictions
{
    public static Prediction Read(ModelConfig config, params ReadOnlySpan<Prediction> allowed)
    {
        string name = config.String("prediction_type", "epsilon");
        Prediction? prediction = name switch
        {
            "epsilon" => Prediction.Epsilon,
            "sample" or "original_sample" => Prediction.Sample,
            "v_prediction" => Prediction.Velocity,
            "flow_prediction" => Prediction.Flow,
            _ => null,
        };
        if (prediction is { } known && (allowed.IsEmpty ? known != Prediction.Flow : allowed.Contains(known)))
            return known;
        throw new CheckpointException($"'{config.Path}': prediction_type is '{name}', which {config.ClassName} does not know.");
    }

    public static CleanRule ToClean(this Prediction prediction, double alpha, double sigma) => prediction switch
    {
        Prediction.Epsilon => new(1 / alpha, -sigma / alpha),
        Prediction.Sample => new(0, 1),
        Prediction.Velocity => new(alpha, -sigma),
        _ => new(1, -sigma),
    };

    /// <summary>For latents clean + sigma noise, of which the model gets latents / sqrt(sigma^2 + 1).</summary>
    public static CleanRule ToCleanUnscaled(this Prediction prediction, double sigma) => prediction switch
    {
        Prediction.Epsilon => new(1, -sigma),
        Prediction.Sample => new(0, 1),
        Prediction.Velocity => new(1 / ((sigma * sigma) + 1), -sigma / Math.Sqrt((sigma * sigma) + 1)),
        _ => new(1, -sigma),
    };

    /// <summary>The noise as a sum of latents and prediction: (latents - alpha clean) / sigma, without the cancellation.</summary>
    public static (double Latents, double Prediction) ToNoise(this Prediction prediction, double alpha, double sigma) => prediction switch
    {
        Prediction.Epsilon => (0, 1),
        Prediction.Sample => (1 / sigma, -alpha / sigma),
        Prediction.Velocity => (sigma, alpha),
        _ => (1, 1 - sigma),
    };
}

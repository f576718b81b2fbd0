using Attune.Tensors;
using Attune.Weights;

namespace Attune.Schedulers;

/// <summary>
/// Linear multistep of order 4 (Adams-Bashforth with uneven steps; k-diffusion), as LMSDiscreteScheduler of diffusers. When image to image
/// begins later, the order rises from 1 as it does at the beginning; diffusers weighs as if it had the earlier derivatives.
/// </summary>
public sealed class LMSDiscreteScheduler : SigmaScheduler
{
    private const int MaxOrder = 4;

    internal LMSDiscreteScheduler(ModelConfig config)
        : base(config, ZeroSnr.Unknown, SigmaSpacing.Read(config, karrasTakesEnds: false))
    {
    }

    private protected override ISchedulerRun Start(SchedulerRequest request)
    {
        var (timesteps, sigmas) = Schedule(request);
        return new Run(this, Single(timesteps), Single([.. sigmas, 0]), request.BeginIndex);
    }

    private sealed class Run(
        LMSDiscreteScheduler owner, float[] timesteps, float[] sigmas, int begin) : SigmaRun(owner, timesteps, sigmas, begin)
    {
        private readonly TensorHistory _derivatives = new(MaxOrder);

        protected override bool KeepsHistory => true;

        protected override Tensor Advance(int index, Tensor prediction, Tensor latents, Noise noise, StepDetails? details)
        {
            _derivatives.Push(Derivative(Clean(index), Sigma(index), prediction, latents, details));
            Span<(double, Tensor)> terms = new (double, Tensor)[_derivatives.Count + 1];
            terms[0] = (1, latents);
            for (int age = 0; age < _derivatives.Count; age++)
                terms[age + 1] = (Weight(index, age, _derivatives.Count), _derivatives[age]);
            return Mix.Of(terms);
        }

        protected override void Release() => _derivatives.Dispose();

        /// <summary>
        /// The integral, over the step, of the polynomial that is 1 at one earlier level and 0 at the others. It is of degree 3 at most, so
        /// two Gauss points are exact.
        /// </summary>
        private double Weight(int index, int age, int order)
        {
            double middle = (Sigma(index) + Sigma(index + 1)) / 2;
            double half = (Sigma(index + 1) - Sigma(index)) / 2;
            double sum = 0;
            foreach (double point in (ReadOnlySpan<double>)[middle - (half / Math.Sqrt(3)), middle + (half / Math.Sqrt(3))])
            {
                double product = 1;
                for (int k = 0; k < order; k++)
                {
                    if (k != age)
                        product *= (point - Sigma(index - k)) / (Sigma(index - age) - Sigma(index - k));
                }
                sum += product;
            }
            return half * sum;
        }
    }
}

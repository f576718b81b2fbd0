using System.Numerics.Tensors;
using Attune.Attention;
using Attune.Tensors;
using Tensor = Attune.Tensors.Tensor;

namespace Attune.Guidance.Diagnostics;

/// <summary>
/// Attention over the prompt's text as one update of a modern Hopfield network (Ramsauer et al., arXiv 2008.02217): the query is the state
/// xi, the keys are the stored patterns X, beta is the scale of the logits z = beta X xi (plus a mask's bias). With softmax, T(xi) = X'
/// softmax(z) and E(xi) = -lse(z) / beta + xi xi / 2; with alpha-entmax (Hu et al., arXiv 2309.12673), T(xi) = X' entmax(z) and E(xi) =
/// -Psi(z) / beta + xi xi / 2, Psi(z) = p z + (1 - sum p^alpha) / (alpha (alpha - 1)) at p = entmax(z). An update
/// never raises its energy. Constants that do not depend on the state are left out. Everything is computed in double precision, for each
/// head of at most 256 tokens of a sample, evenly chosen.
/// </summary>
internal static class HopfieldEnergy
{
    /// <summary>How many tokens of a sample are looked at.</summary>
    internal const int TokensPerSample = 256;

    private const string Sampled =
        " For each head of at most 256 evenly chosen latent tokens; in squared units of the keys, without constants.";
    private const string Distances = " For each head of at most 256 evenly chosen latent tokens, in units of the keys.";

    internal static readonly Quantity DenseBefore = new("hopfield.before", "Hopfield energy of the query",
        "E(q) = -lse(beta K q) / beta + q q / 2 over the prompt's keys K." + Sampled, "the query's energy is {0}");

    internal static readonly Quantity DenseAfter = new("hopfield.after", "Hopfield energy after one update",
        "E(T(q)) with T(q) = K' softmax(beta K q), the query's plain attention over the keys." + Sampled,
        "one update brings the energy to {0}");

    internal static readonly Quantity DenseFall = new("hopfield.fall", "Fall of the Hopfield energy in one update",
        "E(q) - E(T(q)), never below 0: how far from a retrieved pattern the query is." + Sampled, "one update lowers the energy by {0}")
    { Minimum = 0 };

    internal static readonly Quantity SparseBefore = new("entmax.before", "Sparse Hopfield energy of the query",
        "E_a(q) = -Psi(beta K q) / beta + q q / 2, Psi the conjugate of the entropy that alpha-entmax goes with." + Sampled,
        "the query's sparse energy is {0}");

    internal static readonly Quantity SparseAfter = new("entmax.after", "Sparse Hopfield energy after one sparse update",
        "E_a(T_a(q)) with T_a(q) = K' entmax(beta K q), the query's sparse attention over the keys." + Sampled,
        "one sparse update brings the sparse energy to {0}");

    internal static readonly Quantity SparseFall = new("entmax.fall", "Fall of the sparse Hopfield energy in one sparse update",
        "E_a(q) - E_a(T_a(q)), never below 0." + Sampled, "one sparse update lowers the sparse energy by {0}")
    { Minimum = 0 };

    internal static readonly Quantity Support = new("entmax.support", "Text tokens that sparse attention keeps",
        "How many tokens of the prompt get a weight above 0 from alpha-entmax, for each latent token and head; with padding the prompt's "
            + "tokens include it.",
        "sparse attention keeps {0} text tokens")
    { Minimum = 0 };

    internal static readonly Quantity DenseResidual = new("anderson.dense", "Residual of the dense update",
        "|T(q) - q|, T(q) = K' softmax(beta K q): the residual of the fixed-point iteration that attention is a step of." + Distances,
        "the dense update moves the query by {0}")
    { Minimum = 0 };

    internal static readonly Quantity SparseResidual = new("anderson.sparse", "Residual of the sparse update",
        "|T_a(q) - q|, T_a(q) = K' entmax(beta K q)." + Distances, "the sparse update moves the query by {0}")
    { Minimum = 0 };

    internal static readonly Quantity StepResidual = new("anderson.step", "Residual of the Anderson step with the rule's coefficient",
        "|T_a(q) + c (T_a(q) - T(q)) - q| with the rule's fixed coefficient c (PLADIS scale - 1, GAG lambda), before any projection and "
            + "bound."
            + Distances,
        "the extrapolated update moves the query by {0}")
    { Minimum = 0 };

    internal static readonly Quantity Coefficient = new("anderson.coefficient", "Coefficient that Anderson acceleration would choose",
        "The c that makes |T_a(q) + c (T_a(q) - T(q)) - q| least: -f g / (g g) with f = T_a(q) - q and g = T_a(q) - T(q), that is minus "
            + "theta of AA(1) with the dense update as the earlier and the sparse one as the later " +
        "iterate. The rule uses a fixed one instead. Not defined where both updates agree. For each head of at most 256 evenly chosen "
            + "latent tokens.",
        "Anderson acceleration would choose {0}");

    /// <summary>The energy of softmax attention.</summary>
    public static void MeasureDense(AttentionFacts facts, IMeasurements to)
    {
        if (Evaluate(facts, 1, 0) is not { } states)
            return;
        to.Add(DenseBefore, states.Select(state => state.Dense.Before));
        to.Add(DenseAfter, states.Select(state => state.Dense.After));
        to.Add(DenseFall, states.Select(state => Fall(state.Dense)));
    }

    /// <summary>
    /// What rules have in common that extrapolate from dense to sparse attention: the support, the sparse energy, and the residuals of the
    /// step.
    /// </summary>
    /// <param name="facts">The facts of the call.</param>
    /// <param name="alpha">The alpha of entmax, above 1.</param>
    /// <param name="coefficient">c in T_a + c (T_a - T).</param>
    /// <param name="to">Takes the numbers.</param>
    public static void MeasureSparse(AttentionFacts facts, float alpha, double coefficient, IMeasurements to)
    {
        to.Add(Support, Array.ConvertAll(facts.SupportSize(alpha).ToArray(), value => (double)value));
        if (Evaluate(facts, alpha, coefficient) is not { } states)
            return;
        to.Add(SparseBefore, states.Select(state => state.Sparse.Before));
        to.Add(SparseAfter, states.Select(state => state.Sparse.After));
        to.Add(SparseFall, states.Select(state => Fall(state.Sparse)));
        to.Add(DenseResidual, states.Select(state => state.DenseResidual));
        to.Add(SparseResidual, states.Select(state => state.SparseResidual));
        to.Add(StepResidual, states.Select(state => state.StepResidual));
        to.Add(Coefficient, states.Select(state => state.Coefficient));
    }

    private static void Add(this IMeasurements to, Quantity quantity, IEnumerable<double> values) => to.Add(quantity, values.ToArray());

    /// <summary>Energies of states near a fixed point differ by less than they round.</summary>
    private static double Fall((double Before, double After) energy) =>
        Math.Abs(energy.Before - energy.After) <= 1e-12 * Math.Abs(energy.Before) ? 0 : energy.Before - energy.After;

    /// <summary>One query of one head. Without text that counts, all is NaN.</summary>
    private readonly record struct State(
        (double Before, double After) Dense, (double Before, double After) Sparse, double DenseResidual, double SparseResidual,
        double StepResidual, double Coefficient)
    {
        public static State None { get; } = new(
            (double.NaN, double.NaN), (double.NaN, double.NaN), double.NaN, double.NaN, double.NaN, double.NaN);
    }

    /// <summary>
    /// The states of the chosen tokens; null where attention is no such update: no text, text in several runs, or capped logits.
    /// </summary>
    private static State[]? Evaluate(AttentionFacts facts, double alpha, double coefficient)
    {
        var call = facts.Call;
        if (call.Keys.Runs(TokenKind.Text) is not [var (first, count)]
            || facts.Length == 0 || call.Mask is { SoftCap: > 0 } || !(call.Scale > 0))
            return null;
        var (query, key) = (facts.Query, facts.Key);
        var (batch, heads, group) = (query.Shape[0], query.Shape[2], query.Shape[2] / key.Shape[2]);
        int stride = (facts.Length + TokensPerSample - 1) / TokensPerSample;
        int tokens = (facts.Length + stride - 1) / stride;
        var states = new State[batch * heads * tokens];
        var (queries, keys) = (new HostRows(query), new HostRows(key));
        var counts = call.Mask?.Keys is { } masked ? new HostRows(masked) : null;
        var biases = call.Mask?.Bias is { } added ? new HostRows(added) : null;
        Workers.For(batch * heads, index =>
        {
            var (item, head) = (index / heads, index % heads);
            var positions = new List<int>(count);
            for (int at = first; at < first + count; at++)
            {
                if (counts == null || counts.Row(item)[at] != 0)
                    positions.Add(at);
            }
            double[][] patterns = [.. positions.Select(at => ToDouble(keys.Row(item, at, head / group)))];
            for (int i = 0; i < tokens; i++)
            {
                int row = facts.Start + i * stride;
                double[] bias = Bias(biases, item, head, row, positions);
                var update = new Update(patterns, bias, call.Scale, ToDouble(queries.Row(item, row, head)));
                states[index * tokens + i] = update.Evaluate(alpha, coefficient);
            }
        });
        return states;
    }

    private static double[] Bias(HostRows? bias, int item, int head, int row, List<int> positions)
    {
        var values = new double[positions.Count];
        if (bias == null)
            return values;
        var added = bias.Row(item, head, row);
        for (int i = 0; i < values.Length; i++)
            values[i] = added[positions[i]];
        return values;
    }

    /// <summary>A copy of a tensor for several threads of the host; axes of extent 1 stand for any coordinate.</summary>
    private sealed class HostRows(Tensor tensor)
    {
        private readonly float[] _values = tensor.ToArray();
        private readonly Shape _shape = tensor.Shape;

        public ReadOnlySpan<float> Row(params ReadOnlySpan<int> coordinates)
        {
            int row = 0;
            for (int axis = 0; axis < coordinates.Length; axis++)
                row = row * _shape[axis] + (_shape[axis] == 1 ? 0 : coordinates[axis]);
            return _values.AsSpan(row * _shape[^1], _shape[^1]);
        }
    }

    private static double[] ToDouble(ReadOnlySpan<float> values)
    {
        var result = new double[values.Length];
        TensorPrimitives.ConvertTruncating<float, double>(values, result);
        return result;
    }

    /// <summary>The update of one state.</summary>
    private readonly struct Update(double[][] patterns, double[] bias, double beta, double[] state)
    {
        public State Evaluate(double alpha, double coefficient)
        {
            double[] logits = Logits(state);
            if (logits.Length == 0 || double.IsNegativeInfinity(TensorPrimitives.Max<double>(logits)))
                return State.None;
            var (dense, denseBefore) = Apply(state, logits, 1);
            var denseEnergy = (denseBefore, Energy(dense, 1));
            if (alpha == 1)
                return State.None with { Dense = denseEnergy };

            var (sparse, sparseBefore) = Apply(state, logits, alpha);
            double along = 0;
            double square = 0;
            double length = 0;
            for (int i = 0; i < state.Length; i++)
            {
                double f = sparse[i] - state[i];
                double g = sparse[i] - dense[i];
                along += f * g;
                square += g * g;
                length += (f + coefficient * g) * (f + coefficient * g);
            }
            return new State(
                denseEnergy, (sparseBefore, Energy(sparse, alpha)), TensorPrimitives.Distance<double>(dense, state),
                TensorPrimitives.Distance<double>(sparse, state), Math.Sqrt(length), -along / square);
        }

        private double[] Logits(double[] at)
        {
            var logits = new double[patterns.Length];
            for (int i = 0; i < logits.Length; i++)
                logits[i] = beta * TensorPrimitives.Dot<double>(patterns[i], at) + bias[i];
            return logits;
        }

        /// <summary>The updated state, and the energy of the one before.</summary>
        private (double[] Updated, double Energy) Apply(double[] at, double[] logits, double alpha)
        {
            var weights = new double[logits.Length];
            double conjugate = Conjugate(logits, alpha, weights);
            var sum = new double[at.Length];
            for (int i = 0; i < weights.Length; i++)
            {
                if (weights[i] != 0)
                    TensorPrimitives.MultiplyAdd<double>(patterns[i], weights[i], sum, sum);
            }
            return (sum, EnergyOf(at, conjugate));
        }

        private double Energy(double[] at, double alpha)
        {
            double[] logits = Logits(at);
            return EnergyOf(at, Conjugate(logits, alpha, new double[logits.Length]));
        }

        private double EnergyOf(double[] at, double conjugate) => -conjugate / beta + TensorPrimitives.Dot<double>(at, at) / 2;
    }

    /// <summary>
    /// The greatest p z + entropy, and the weights p that attain it: alpha-entmax; for alpha 1 the log-sum-exp and softmax. One logit is
    /// finite.
    /// </summary>
    private static double Conjugate(double[] logits, double alpha, double[] weights)
    {
        double maximum = TensorPrimitives.Max<double>(logits);
        TensorPrimitives.Subtract<double>(logits, maximum, weights);
        if (alpha == 1)
        {
            TensorPrimitives.Exp<double>(weights, weights);
            double sum = TensorPrimitives.Sum<double>(weights);
            TensorPrimitives.Divide<double>(weights, sum, weights);
            return maximum + Math.Log(sum);
        }

        // Below (alpha - 1) (z - maximum) = -1 no logit has a weight, whatever the threshold is.
        TensorPrimitives.Multiply<double>(weights, alpha - 1, weights);
        int[] near = [.. Enumerable.Range(0, weights.Length).Where(i => weights[i] > -1)];
        double[] scaled = Array.ConvertAll(near, i => weights[i]);
        Array.Clear(weights);
        double exponent = 1 / (alpha - 1);
        double threshold = Threshold(scaled, exponent);
        double total = 0;
        for (int i = 0; i < near.Length; i++)
            total += weights[near[i]] = Power(Math.Max(scaled[i] - threshold, 0), exponent);
        double along = 0;
        double powers = 0;
        foreach (int i in near)
        {
            weights[i] /= total;
            along += weights[i] * logits[i];
            powers += Power(weights[i], alpha);
        }
        return along + (1 - powers) / (alpha * (alpha - 1));
    }

    /// <summary>
    /// Where the powers of what rises above a threshold sum to 1: by Newton's method, by halving where that leaves the interval that holds
    /// it.
    /// </summary>
    private static double Threshold(double[] scaled, double exponent)
    {
        var (low, high) = (-1.0, 0.0);
        double at = low;
        for (int step = 0; step < 100 && high - low > 1e-16; step++)
        {
            double sum = 0;
            double slope = 0;
            foreach (double value in scaled)
            {
                double above = value - at;
                if (above <= 0)
                    continue;
                double power = Power(above, exponent);
                sum += power;
                slope += power / above;
            }
            if (sum >= 1)
                low = at;
            else
                high = at;
            double next = at + (sum - 1) / (exponent * slope);
            if (next == at)
                break;
            at = next > low && next < high ? next : (low + high) / 2;
        }
        return at;
    }

    private static double Power(double x, double exponent) => exponent switch
    {
        1 => x,
        2 => x * x,
        1.5 => x * Math.Sqrt(x),
        _ => Math.Pow(x, exponent),
    };
}

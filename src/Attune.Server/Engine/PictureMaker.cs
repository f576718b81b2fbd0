using System.Diagnostics;
using Attune.Generation;
using Attune.Attention;
using Attune.Evaluation.Tracing;
using Attune.Guidance;
using Attune.Guidance.Diagnostics;
using Attune.Imaging;
using Attune.Server.Hosting;
using Attune.Server.Requests;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Server.Engine;

/// <summary>Makes the pictures of jobs.</summary>
/// <param name="pool">Has the models.</param>
/// <param name="limits">What requests may ask for.</param>
/// <param name="pace">Learns how long pictures take.</param>
/// <param name="telemetry">Counts them.</param>
/// <param name="time">The clock.</param>
internal sealed class PictureMaker(ModelPool pool, ServerLimits limits, Pace pace, Telemetry telemetry, TimeProvider time)
{
    /// <summary>
    /// Checks a request as far as it can be done now: against what is known of the model, and, where the model is in memory, by asking it.
    /// Sent pictures are not decoded here.
    /// </summary>
    /// <exception cref="ApiException">It is refused.</exception>
    /// <returns>The request with all that it leaves open filled in; null where the model is not in memory, or would have to look at sent
    /// pictures.</returns>
    public ResolvedRequest? Check(JobRequest request)
    {
        var (asked, model) = (request.Request, request.Model);
        CheckSize(asked, model);
        foreach (var option in OptionCatalog.All)
        {
            if (option.ModelOption is { } taken && !model.Facts.Takes(taken) && option.Get(asked) != null)
            {
                throw ApiException.Invalid(
                    KeyOf(option), $"The model {model.Name} ({model.Facts.ClassName}) does not take {KeyOf(option)}.");
            }
        }
        if (request.ExpectedSteps > limits.Steps)
            throw TooManySteps(request.ExpectedSteps);
        if (request.Initial != null || request.References.Count > 0)
            return null;
        using var lease = pool.TryAcquire(request.Variant);
        return lease == null ? null : Resolve(lease.Pipeline, asked, model);
    }

    /// <summary>Makes the next picture of a job.</summary>
    /// <exception cref="ApiException">The request is refused, or took too long.</exception>
    /// <exception cref="OperationCanceledException">The job was stopped.</exception>
    public async Task<Picture> MakeAsync(Job job, CancellationToken cancellation)
    {
        var request = job.Request;
        int index = job.Next;
        using var lease = await pool.AcquireAsync(request.Variant, cancellation).ConfigureAwait(false);
        var watch = Stopwatch.StartNew();
        var asked = await Task.Run(() => request.RequestOf(index), cancellation).ConfigureAwait(false);
        var resolved = Resolve(lease.Pipeline, asked, request.Model);
        var trace = request.Trace ? new GuidanceTrace() : null;
        var observer = new Observer(job.Warn, trace);
        Frames? made = null;
        double denoised = 0;
        int previews = 0, steps = 0;
        try
        {
            await foreach (var step in lease.Pipeline.DenoiseAsync(resolved, observer, cancellation).ConfigureAwait(false))
            {
                (steps, denoised) = (step.Count, step.Denoising.TotalSeconds);
                job.Say(new StepEvent(index, step.Index + 1, step.Count, step.Point.Sigma, Math.Round(denoised, 3)));
                if (request.Wants(step.Index + 1, step.Count))
                {
                    var shown = await step.DecodePreviewAsync(cancellation).ConfigureAwait(false);
                    var strip = shown.Count == 1 ? shown[0] : Image.SideBySide(shown);
                    job.Say(
                        new PreviewEvent(
                            index, previews++, step.Index + 1, step.Count, asked.Seed, strip.Width, strip.Height,
                            request.Format.Encode(new Frames([strip]), []), request.Previews));
                }
                if (step.IsLast)
                    made = (await step.DecodeFramesAsync(cancellation: cancellation).ConfigureAwait(false))[0];
            }
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException)
        {
            throw Refusal(exception);
        }
        catch (NotFiniteException exception)
        {
            throw ApiException.Internal(exception.Message, exception);
        }
        var texts = PictureTexts.Of(lease.Pipeline, lease.Options, request.Model.Identity, resolved, 0);
        byte[] bytes = await Task.Run(() => request.Format.Encode(made!, texts), cancellation).ConfigureAwait(false);
        double all = watch.Elapsed.TotalSeconds;
        pace.Learn(request.Model, request.ExpectedSteps, all);
        telemetry.Made(request, steps, denoised);
        return new Picture(Ids.New(), index, asked.Seed, made!.Width, made.Height, bytes, request.Format, texts[0].Value)
        {
            TextRows = observer.Rows,
            Trace = trace == null ? null
                : PictureTrace.Of(
                    new TraceReport(request.Model.Facts.ClassName, request.Model.Identity.Name, resolved, texts[0].Value, trace, [])),
            Inputs = asked.Images.References.Count + (asked.Images.HasInitial ? 1 : 0),
            Seconds = new PictureTimes(
                Math.Round(((job.Started ?? time.GetUtcNow()) - job.Created).TotalSeconds, 3), Math.Round(observer.Encoded, 3),
                Math.Round(denoised, 3), Math.Round(Math.Max(all - observer.Encoded - denoised, 0), 3)),
        };
    }

    /// <summary>An error of the library about a request, as clients get it: with the field that is wrong.</summary>
    public static ApiException Refusal(Exception exception)
    {
        string message = exception is ArgumentException { ParamName: { } name }
            ? exception.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal) : exception.Message;
        string word = message.Split(' ', ':')[0];
        var option = OptionCatalog.All.FirstOrDefault(
            option => option.Property == word || option.Property.EndsWith("." + word, StringComparison.Ordinal));
        string? parameter = option != null ? KeyOf(option) : RuleCatalog.Names.Contains(word) ? "guidance" : null;
        return ApiException.Invalid(parameter, message, cause: exception);
    }

    private static string KeyOf(RequestOption option) => option.Name switch
    {
        "width" or "height" => "size",
        "image" or "reference" => "image",
        _ => option.Key,
    };

    private ApiException TooManySteps(int steps) =>
        ApiException.Invalid("steps", FormattableString.Invariant($"steps is {steps}, expected {limits.Steps} at most."));

    private ResolvedRequest Resolve(DiffusionPipeline pipeline, GenerationRequest asked, ModelInfo model)
    {
        ResolvedRequest resolved;
        try
        {
            resolved = pipeline.Resolve(asked);
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException or CheckpointException)
        {
            throw Refusal(exception);
        }
        if (resolved.Request.Steps > limits.Steps)
            throw TooManySteps(resolved.Request.Steps.Value);
        CheckSize(resolved.Request, model);
        long needed = pipeline.EstimateActivations(resolved), there = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        return needed <= there ? resolved
            : throw ApiException.Invalid(
                "size", FormattableString.Invariant($"A picture of this size takes {needed >> 20} MiB, of which the server has fewer."));
    }

    private void CheckSize(GenerationRequest asked, ModelInfo model)
    {
        var (width, height) = (asked.Width ?? model.DefaultWidth, asked.Height ?? model.DefaultHeight);
        if (width % model.SizeMultiple != 0 || height % model.SizeMultiple != 0 || (long)width * height > limits.Pixels)
        {
            throw ApiException.Invalid(
                "size",
                FormattableString.Invariant($"size is {width}x{height}, expected multiples of {model.SizeMultiple} and at most ")
                    + FormattableString.Invariant($"{limits.Pixels} pixels in all; {model.DefaultWidth}x{model.DefaultHeight} is the ")
                    + $"default of {model.Name}.");
        }
        if (asked.Frames > limits.Frames)
        {
            throw ApiException.Invalid(
                "frames", FormattableString.Invariant($"frames is {asked.Frames}, expected {limits.Frames} at most."));
        }
    }

    /// <summary>Passes on warnings, notes when the prompts were encoded, and records where guidance acts if that is wanted.</summary>
    private sealed class Observer(Action<string> warn, GuidanceTrace? trace) : RunObserver
    {
        private readonly Stopwatch _watch = Stopwatch.StartNew();

        public double Encoded { get; private set; }

        /// <summary>How many rows of the prompt the model reads.</summary>
        public int Rows { get; private set; }

        public override IAttentionProbe? Probe => trace;

        public override void Warn(string message) => warn(message);

        public override void BeginStep(StepPoint point) => trace?.Begin(point);

        public override void EndStep(StepObservation step) => trace?.Observe(step.Facts, step.Guidance, step.Prediction);

        public override void Begin(RunStart start) => (Encoded, Rows) = (_watch.Elapsed.TotalSeconds, start.Positive.CountedRows);
    }
}

using System.Diagnostics;
using Attune.Generation;
using Attune.Imaging;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Attune.Extensions.AI;

/// <summary>
/// Makes pictures with a pipeline in the process, for programs that know <see cref="IImageGenerator"/>. What it cannot do as it is asked it
/// refuses with an <see cref="ArgumentException"/>, rather than doing something else. Several pictures are runs with seeds that follow
/// one another, so that each can be made again alone. Thread-safe.
/// </summary>
public sealed partial class AttuneImageGenerator : IImageGenerator
{
    private readonly DiffusionPipeline _pipeline;
    private readonly AttuneImageGeneratorSettings _settings;
    private readonly ModelIdentity _identity;
    private readonly ILogger _log;
    private readonly SemaphoreSlim _turns;
    private int _disposed;

    /// <param name="pipeline">Makes the pictures.</param>
    /// <param name="settings">How it is used; null for the defaults.</param>
    /// <param name="log">Where warnings are said; null for nowhere.</param>
    /// <exception cref="ArgumentOutOfRangeException"><see cref="AttuneImageGeneratorSettings.Concurrency"/> is below 1.</exception>
    public AttuneImageGenerator(
        DiffusionPipeline pipeline, AttuneImageGeneratorSettings? settings = null, ILogger<AttuneImageGenerator>? log = null)
    {
        ArgumentNullException.ThrowIfNull(pipeline);
        settings ??= new AttuneImageGeneratorSettings();
        ArgumentOutOfRangeException.ThrowIfLessThan(settings.Concurrency, 1, nameof(settings));
        (_pipeline, _settings, _log) = (pipeline, settings, log ?? NullLogger<AttuneImageGenerator>.Instance);
        _turns = new SemaphoreSlim(settings.Concurrency);
        string name = settings.ModelId ?? settings.Identity?.Name ?? pipeline.Facts.ClassName;
        _identity = (settings.Identity ?? new ModelIdentity(name, "")) with { Name = name };
        Metadata = new ImageGeneratorMetadata(GeneratorTelemetry.Provider, defaultModelId: name);
    }

    /// <summary>Who makes the pictures: <c>attune</c>, and the model's name.</summary>
    public ImageGeneratorMetadata Metadata { get; }

    internal string ModelId => _identity.Name;

    internal DiffusionPipeline Pipeline => _pipeline;

    /// <summary>Makes pictures.</summary>
    /// <param name="request">
    /// The prompt, and original images as the model takes them: one to begin with, or several to look at, as <see cref="DataContent"/>.
    /// </param>
    /// <param name="options">
    /// What else is asked for; <see cref="AttuneImageGenerationOptions"/> has what other generators do not know.
    /// </param>
    /// <param name="cancellationToken">Stops the work within a block of the model.</param>
    /// <returns>
    /// A <see cref="DataContent"/> for each picture, whose <c>seed</c> and <c>parameters</c> are in its additional properties; the
    /// warnings of the run are in the <see cref="AttuneImageGenerationResult"/> that is the raw representation.
    /// </returns>
    /// <exception cref="ArgumentException">Something that is asked for cannot be done; the message names it.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public async Task<ImageGenerationResponse> GenerateAsync(
        ImageGenerationRequest request, ImageGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        using var activity = GeneratorTelemetry.Start(ModelId);
        try
        {
            var asked = await Task.Run(() => AskedPictures.Read(this, request, options), cancellationToken).ConfigureAwait(false);
            GeneratorTelemetry.Describe(activity, asked);
            await _turns.WaitAsync(cancellationToken).ConfigureAwait(false);
            try
            {
                return await MakeAsync(asked, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                _turns.Release();
            }
        }
        catch (Exception exception)
        {
            GeneratorTelemetry.Fail(activity, exception);
            throw;
        }
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey != null ? null
            : serviceType == typeof(ImageGeneratorMetadata) ? Metadata
            : serviceType.IsInstanceOfType(_pipeline) ? _pipeline
            : serviceType.IsInstanceOfType(this) ? this : null;
    }

    /// <summary>Takes no more requests; disposes the pipeline if it is the generator's.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0 && _settings.OwnsPipeline)
            _pipeline.Dispose();
    }

    private async Task<ImageGenerationResponse> MakeAsync(AskedPictures asked, CancellationToken cancellation)
    {
        var contents = new List<AIContent>(asked.Count);
        var (requests, warnings) = (new List<ResolvedRequest>(asked.Count), new List<string>());
        int rows = 0;
        for (int i = 0; i < asked.Count; i++)
        {
            var observer = new Observer(message => Warn(warnings, message));
            var watch = Stopwatch.StartNew();
            var resolved = asked.Resolve(i);
            Frames? made = null;
            int previews = 0;
            await foreach (var step in _pipeline.DenoiseAsync(resolved, observer, cancellation).ConfigureAwait(false))
            {
                if (asked.Wants(step))
                {
                    var images = await step.DecodePreviewAsync(cancellation).ConfigureAwait(false);
                    var shown = images.Count == 1 ? images[0] : Image.SideBySide(images);
                    asked.Previews!.Report(
                        new DenoisingPreview(
                            i, resolved.Request.Seed, step.Index + 1, step.Count,
                            new DataContent(PictureFile.Png(new Frames([shown]), []), PictureFile.PngType)));
                    previews++;
                }
                if (step.IsLast)
                {
                    GeneratorTelemetry.Step.Record(
                        step.Denoising.TotalSeconds / step.Count, GeneratorTelemetry.Tag("gen_ai.request.model", ModelId));
                    made = (await step.DecodeFramesAsync(cancellation: cancellation).ConfigureAwait(false))[0];
                }
            }
            var texts = PictureTexts.Of(_pipeline, _settings.Opened, _identity, resolved, 0);
            byte[] bytes = await Task.Run(() => asked.File.Encode(made!, texts), cancellation).ConfigureAwait(false);
            contents.Add(
                new DataContent(bytes, asked.File.MediaType)
                {
                    Name = FormattableString.Invariant($"{resolved.Request.Seed}{asked.File.Extension}"),
                    AdditionalProperties = new AdditionalPropertiesDictionary
                    {
                        ["seed"] = resolved.Request.Seed, ["parameters"] = texts[0].Value,
                    },
                });
            requests.Add(resolved);
            rows += observer.Rows;
            GeneratorTelemetry.Images.Add(1, GeneratorTelemetry.Tag("gen_ai.request.model", ModelId));
            Made(ModelId, resolved.Request.Seed, resolved.Request.Steps ?? 0, previews, watch.Elapsed.TotalSeconds);
        }
        return new ImageGenerationResponse(contents)
        {
            RawRepresentation = new AttuneImageGenerationResult(requests, warnings),
            Usage = new UsageDetails { InputTokenCount = rows, OutputTokenCount = 0, TotalTokenCount = rows },
        };
    }

    private void Warn(List<string> warnings, string message)
    {
        lock (warnings)
        {
            if (warnings.Contains(message))
                return;
            warnings.Add(message);
        }
        Warned(ModelId, message);
    }

    internal void SayUnread(string name, string meant) => Unread(ModelId, name, meant);

    [LoggerMessage(LogLevel.Debug, "{Model} made a picture: seed {Seed}, {Steps} steps, {Previews} previews, {Seconds} s.")]
    private partial void Made(string model, ulong seed, int steps, int previews, double seconds);

    [LoggerMessage(LogLevel.Warning, "{Model}: {Message}")]
    private partial void Warned(string model, string message);

    [LoggerMessage(LogLevel.Warning, "{Model}: nobody here reads the additional property '{Name}'{Meant}.")]
    private partial void Unread(string model, string name, string meant);

    /// <summary>Passes on warnings, and notes how many rows of the prompt the model reads.</summary>
    private sealed class Observer(Action<string> warn) : RunObserver
    {
        public int Rows { get; private set; }

        public override void Warn(string message) => warn(message);

        public override void Begin(RunStart start) => Rows = start.Positive.CountedRows;
    }
}

/// <summary>What was made, as Attune has it: the raw representation of an answer.</summary>
/// <param name="Requests">What each picture was made from, with everything set.</param>
/// <param name="Warnings">What is probably not meant: a prompt that was cut, a rule that never acts.</param>
public sealed record AttuneImageGenerationResult(IReadOnlyList<ResolvedRequest> Requests, IReadOnlyList<string> Warnings);

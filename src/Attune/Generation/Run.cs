using System.Diagnostics;
using Attune.Attention;
using Attune.Autoencoders;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Latents;
using Attune.Models;
using Attune.Prompts;
using Attune.Schedulers;
using Attune.Tensors;

namespace Attune.Generation;

/// <summary>One run of a request: encodes the prompts, then goes step by step from noise to latents.</summary>
internal sealed class Run : IDisposable
{
    /// <summary>The most frames of a picture of a step.</summary>
    private const int PreviewFrames = 8;

    private readonly Model _model;
    private readonly RunObserver _observer;
    private readonly ISchedulerRun _schedule;
    private readonly TorchRandom _random;
    private readonly GuidanceState _guidanceState = new();
    private readonly Memo _memo = new();
    private readonly StepCaches _caches;
    private readonly TensorBag _owned = new();
    private readonly Image[] _pictures;
    private readonly Repainting? _repainting;
    private IReadOnlyList<ReferenceLatents> _references = [];
    private Tensor? _beside;
    private Tensor? _first;
    private Tensor? _seen;
    private Conditioning? _positive;
    private Conditioning? _negative;
    private Conditioning? _empty;
    private Tensor? _latents;

    // What the last step left, for a picture of the clean sample.
    private Tensor? _before;
    private Tensor? _prediction;
    private int _step;
    private bool _disposed;

    private Run(Model model, ResolvedRequest resolved, RunObserver observer)
    {
        (_model, Resolved, _observer) = (model, resolved, observer);
        _random = new TorchRandom(resolved.Request.Seed);
        _caches = new StepCaches(resolved.Request.Cache);
        var (request, images) = (resolved.Request, resolved.Request.Images);
        _pictures = [.. images.References.Select(image => model.Latents.FitReference(image, images.ReferenceSize))];
        var asked = new SchedulerRequest
        {
            Steps = request.Timesteps == null && request.Sigmas == null ? request.Steps : null,
            Timesteps = request.Timesteps,
            Sigmas = request.Sigmas,
            Eta = request.Eta,
            // As written: 0.7 of 10 steps are 7, but 0.7f is a little less than 0.7. Decimals round to what a float states.
            Strength = images.HasInitial && !model.Facts.ImageIsFirstFrame ? (double)(decimal)images.Strength!.Value : null,
        };
        _repainting = images.Mask == null ? null : new Repainting(images, resolved.Size);
        _schedule = resolved.Scheduler.Begin(model.Plan(asked, resolved.Scheduler, resolved.Grid));
    }

    /// <summary>What is generated.</summary>
    public ResolvedRequest Resolved { get; }

    /// <summary>Frames a second of videos, as it is written: 23.976; null for pictures.</summary>
    public double? FrameRate => (double?)(decimal?)Resolved.Request.FrameRate;

    /// <summary>The number of evaluations of the denoiser.</summary>
    public int Steps => _schedule.Steps;

    /// <summary>The latents now, in the denoiser's form.</summary>
    public Tensor Latents => _latents!;

    /// <summary>Fails unless a step is the last one that was done, and the run goes on.</summary>
    /// <exception cref="ObjectDisposedException">The next step was asked for, or the run has ended.</exception>
    public void RequireTurn(int step)
    {
        if (_disposed || step != _step)
        {
            throw new ObjectDisposedException(
                nameof(DenoisingStep),
                $"Step {step + 1} of {Steps} is over: a step lives until the next one is asked for, or until its run has ended. Read or "
                    + "decode it before that, and clone the latents that are to be kept.");
        }
    }

    /// <summary>How long the steps took that are done, without the encoding of prompts.</summary>
    public TimeSpan Denoising { get; private set; }

    /// <summary>Encodes the prompts, draws the noise and begins the scheduler.</summary>
    public static Run Begin(Model model, ResolvedRequest resolved, RunObserver observer, CancellationToken cancellation)
    {
        var run = new Run(model, resolved, observer);
        try
        {
            foreach (string warning in resolved.Request.Images.TransparencyWarnings(model.Latents.ReferencesHaveAlpha))
                observer.Warn(warning);
            foreach (string warning in resolved.Warnings)
                observer.Warn(warning);
            foreach (string warning in RequestWarnings.Idle(resolved.Guidance, [.. Enumerable.Range(0, run.Steps).Select(run.PointOf)]))
                observer.Warn(warning);
            run.Encode(cancellation);
            run.Start(cancellation);
            return run;
        }
        catch
        {
            run.Dispose();
            throw;
        }
    }

    /// <summary>Where the run stands when a step begins.</summary>
    public StepPoint PointOf(int step) => new(step, Steps, _schedule.TimestepOf(step), _schedule.SigmaOf(step));

    /// <summary>Does one step.</summary>
    public void Step(int step, CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        long begun = Stopwatch.GetTimestamp();
        var point = PointOf(step);
        _step = step;
        _observer.BeginStep(point);
        var guidance = Resolved.Guidance.At(point, _observer.Probe);
        int expert = _model.Denoiser.ExpertOf(point.Timestep);
        var latents = _schedule.ScaleInput(Latents, step);
        Tensor Predict(Conditioning positive, Conditioning? negative, PassKinds kind, Steering steering, GuidanceRule? rule = null)
        {
            var inside = kind == PassKinds.None ? guidance.Inside : [];
            var input = new DenoiserInput(latents, Resolved.Grid, [_schedule.TimestepOf(step)], positive, negative)
            {
                GuidanceScale = Resolved.Request.GuidanceScale,
                References = _references,
                Beside = _beside,
                CleanFrames = _first?.Shape[1] ?? 0,
                Picture = _seen,
                Memo = _memo,
                Watch = kind == PassKinds.None ? _observer.Watch : null,
            };
            var cache = _caches.Of(point, kind, rule, expert, inside, steering);
            if (cache?.Recall() is { } known)
                return known;
            var predicted = _model.Denoiser.Predict(input, cache?.Steer(steering) ?? steering, cancellation);
            cache?.Keep(predicted);
            return predicted;
        }

        Tensor? PredictPlain(PassKinds kind, Conditioning? conditioning) =>
            guidance.Passes.FirstOrDefault(pass => pass.Kind == kind) is { } pass
                ? Predict(conditioning!, null, kind, pass.Steering)
                : null;

        var facts = new PredictionFacts(
            point, Latents,
            Predict(_positive!, guidance.ReadsNegativeText ? _negative : null, PassKinds.None, guidance.Steering), _guidanceState)
        {
            Expert = expert,
            Negative = PredictPlain(PassKinds.Negative, _negative),
            Empty = PredictPlain(PassKinds.Empty, _empty),
            ToCleanSample = prediction => _schedule.ToCleanSample(prediction, step, Latents),
            FromCleanSample = clean => _schedule.FromCleanSample(clean, step, Latents),
        };
        foreach (var pass in guidance.Passes.Where(pass => pass.Kind == PassKinds.Perturbed))
            facts.SetPerturbed(pass.Rule!, Predict(_positive!, null, pass.Kind, pass.Steering, pass.Rule));
        var prediction = guidance.Combine(facts);
        using var draws = new TensorBag();          // the scheduler's own scope would end with what it draws
        Tensor? noise = null;
        var next = _schedule.Step(
            prediction, step, Latents, () => noise = draws.Own(_model.Latents.DrawStep(_random, Resolved.Grid, Resolved.Request.Count)));
        KeepFirst(next);
        next = _repainting?.Blend(next, _schedule, step) ?? next;
        Finite.CheckStep(facts, guidance, prediction, next, Resolved.Scheduler.ClassName);
        _observer.EndStep(new StepObservation(facts, guidance, prediction, noise, next) { Caches = _caches.DoneIn(step) });
        Replace(ref _prediction, prediction.View());        // it may be one of the passes
        Replace(ref _before, _latents);
        _latents = TensorScope.Detach(next);
        Denoising += Stopwatch.GetElapsedTime(begun);
    }

    /// <summary>What the autoencoder's decoder would be given; the caller disposes it.</summary>
    public Tensor DecoderInput()
    {
        using var scope = new TensorScope();
        return TensorScope.Detach(_model.Latents.Denormalize(_model.Latents.Unpack(Latents, Resolved.Grid)));
    }

    /// <summary>
    /// The images of the latents, [count, height, width, 3] from 0 to 1, of videos [count, frames, height, width, 3]; the caller disposes
    /// it.
    /// </summary>
    public Tensor Decode(CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        var latents = _model.Latents.Unpack(Latents, Resolved.Grid);
        return Whole(Finished(_model.Latents.Decode(latents, cancellation), latents));
    }

    /// <summary>The frames of the latents, as they are decoded.</summary>
    /// <param name="receive">Receives some of the frames of all pictures or videos, [count, frames, height, width, 3] from 0 to 1; valid
    /// during the call.</param>
    /// <param name="cancellation">Stops the work within a block.</param>
    public void DecodeFrames(Action<Tensor> receive, CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        var latents = _model.Latents.Unpack(Latents, Resolved.Grid);
        _model.Latents.DecodeFrames(
            latents,
            frames =>
            {
                using var finished = Whole(Finished(frames, latents));
                receive(finished);
            },
            cancellation);
    }

    /// <summary>
    /// The images of the clean sample that the last prediction means, shaped as those of <see cref="Decode"/>, of videos some frames alone;
    /// the caller disposes it.
    /// </summary>
    public Tensor DecodePreview(AutoencoderTiny? vae, CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        var clean = _model.Latents.Unpack(_schedule.ToCleanSample(_prediction!, _step, _before!), Resolved.Grid);
        if (_model.Latents.HasFrames)
            return DecodeStrip(clean, vae, cancellation);
        return Finished(
            vae == null ? _model.Latents.Decode(clean, cancellation) : vae.Decode(vae.Denormalize(clean), cancellation), clean);
    }

    /// <summary>Some latent frames of each video, at even distances, each decoded as a picture of its own.</summary>
    private Tensor DecodeStrip(Tensor clean, AutoencoderTiny? vae, CancellationToken cancellation)
    {
        var s = clean.Shape;
        int shown = Math.Min(s[1], PreviewFrames);
        var frames = TensorOperations.Concatenate(
            1, [.. Enumerable.Range(0, shown).Select(i => clean.Slice(1, i * (s[1] - 1) / Math.Max(shown - 1, 1), 1))]);
        var pictures = vae == null
            ? _model.Latents.Decode(frames.Reshape(s[0] * shown, 1, s[2], s[3], s[4]), cancellation)
            : vae.Decode(vae.Denormalize(frames.Reshape(s[0] * shown, s[2], s[3], s[4])), cancellation);
        var (height, width) = (pictures.Shape[^3], pictures.Shape[^2]);
        return Finished(pictures.Reshape(s[0], shown, height, width, 3), clean);
    }

    public void Dispose()
    {
        _disposed = true;
        _schedule.Dispose();
        _positive?.Dispose();
        _negative?.Dispose();
        _empty?.Dispose();
        _memo.Dispose();
        _repainting?.Dispose();
        _owned.Dispose();
        _caches.Dispose();
        _guidanceState.Dispose();
        Replace(ref _latents, null);
        Replace(ref _before, null);
        Replace(ref _prediction, null);
    }

    private void Encode(CancellationToken cancellation)
    {
        var request = Resolved.Request;
        using var passing = _model.Latents.Device.Passing();
        Conditioning Of(string? text, PromptRole role) => _model.Prompts.Encode(
            new PromptInput(text, role, Resolved.Size, request.PromptSettings) {
                Images = _pictures, Warn = _observer.Warn },
            cancellation);
        _positive = Of(request.Prompt, PromptRole.Prompt);
        Finite.Check(_positive, "prompt");
        if (Resolved.Guidance.NeedsNegativePrompt)
        {
            _negative = Of(
                request.NegativePrompt, Resolved.Guidance.ReadsNegativeText ? PromptRole.NegativeInAttention : PromptRole.NegativePass);
            Finite.Check(_negative, "negative prompt");
        }
        if (Resolved.Guidance.NeedsEmptyPrompt)
        {
            _empty = Of("", PromptRole.Empty);
            Finite.Check(_empty, "empty prompt");
        }
    }

    /// <summary>
    /// The latents to begin with. Those of an initial image are drawn before the noise is, once for each image that was given, as the
    /// reference does.
    /// </summary>
    private void Start(CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        _references =
        [
            .. _pictures.Select(image => _model.Latents.EncodeReference(image, Resolved.Request.Images.ReferenceSize, cancellation))
                .Select(reference => reference with { Latents = _owned.Own(reference.Latents) }),
        ];
        var (images, space) = (Resolved.Request.Images, _model.Latents);
        if (images.Control.Count > 0)
            _beside = _owned.Own(space.EncodeControl(Pixels(images.Control[0]).Affine(2, -1), _random, cancellation));
        var pixels = images.HasInitial && !_model.Facts.ImageIsFirstFrame ? PixelsOf(images) : null;

        // A UNet at full strength begins with noise alone; one that reads the mask does not see the picture's own latents then.
        bool alone = _repainting != null && images.Strength == 1 && Resolved.Scheduler.Noise != NoiseKind.FlowMatching;
        var image = pixels == null || (alone && _model.Facts.ReadsMask) ? null : EncodeImage(pixels, cancellation);
        if (images.HasInitial && _model.Facts.ImageIsFirstFrame)
            Begin(images, cancellation);
        var noise = Noise();
        var mask = _repainting == null ? null : Repaint(pixels!, image, noise, cancellation);
        var start = image != null && !alone ? _schedule.AddNoise(image, noise)
            : _schedule.InitialNoiseSigma == 1 ? noise.View() : noise.Affine(_schedule.InitialNoiseSigma);
        var packed = _model.Latents.Pack(start);
        _latents = TensorScope.Detach(_first == null ? packed : packed.Clone());
        KeepFirst(_latents);
        if (image != null)
            Finite.CheckEncoded(image);
        Finite.CheckStart(_latents);
        _observer.Begin(
            new RunStart(
                [.. _schedule.Timesteps.Skip(_schedule.First)], _schedule.Sigmas, _positive!, _negative, noise, image,
                _latents)
            {
                Grid = Resolved.Grid, References = _references, Pictures = _pictures, Initial = pixels, Mask = mask,
                LatentMask = _repainting?.LatentMask, Beside = _beside,
            });
    }

    /// <summary>
    /// Prepares what a mask asks for: what the denoiser reads of it, or what is put back after each step. The reference draws noise for the
    /// masked picture's latents even where nobody reads them.
    /// </summary>
    /// <returns>The mask's pixels.</returns>
    private Tensor Repaint(Tensor pixels, Tensor? image, Tensor noise, CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        var space = _model.Latents;
        var mask = scope.Keep(_repainting!.Mask(space.Device));
        if (_model.Facts.ReadsMask)
        {
            var seen = pixels.Affine(2, -1).Multiply(mask.Affine(-1, 1));
            _beside = _owned.Own(space.BesideMasked(space.Encode(seen, _random, cancellation), mask));
            Finite.CheckEncoded(_beside);
            return mask;
        }
        if (space.DrawsToEncode)
            space.Draw(_random, Resolved.Grid, pixels.Shape[0]);
        var packed = space.Pack(image!);
        _repainting.PutBack(packed, space.Pack(noise), space.PackMask(mask, Resolved.Grid));
        if (_model.Facts.LooksAtMasked)
            _references = [new ReferenceLatents(_owned.Own(packed.Slice(0, 0, 1).Clone()), Resolved.Grid), .. _references];
        return mask;
    }

    /// <summary>Takes a picture for a video's first frame.</summary>
    private void Begin(InputImages images, CancellationToken cancellation)
    {
        var pixels = PixelsOf(images).Affine(2, -1);
        if (_model.Facts.KeepsFirstFrame)
            _first = _owned.Own(_model.Latents.EncodeFirstFrame(pixels, cancellation));
        else
            _beside = _owned.Own(_model.Latents.EncodeBeside(pixels, Resolved.Grid, cancellation));
        Finite.CheckEncoded(_first ?? _beside!);
        var picture = new PictureInput(images.Initial ?? Image.FromTensor(images.InitialTensor!)[0]);
        if (_model.Prompts.See(picture, cancellation) is { } seen)
            _seen = _owned.Own(seen);
    }

    /// <summary>Puts the first frame that is given in the place of what became of it.</summary>
    private void KeepFirst(Tensor latents)
    {
        if (_first == null)
            return;
        using var scope = new TensorScope();
        _first.Expand(0, latents.Shape[0]).CopyTo(latents.Slice(1, 0, _first.Shape[1]));
    }

    private Tensor Noise()
    {
        var (request, latents) = (Resolved.Request, _model.Latents);
        if (request.InitialNoise is not { } given)
            return latents.Draw(_random, Resolved.Grid, request.Count);
        var expected = latents.ShapeOf(Resolved.Grid, request.Count);
        if (given.Shape != expected)
            throw new ArgumentException($"InitialNoise is {given.Shape}, expected {expected}.");
        return given.Clone();
    }

    /// <summary>The clean latents of the initial image, [count, height, width, channels].</summary>
    private Tensor EncodeImage(Tensor pixels, CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        var latents = _model.Latents.Encode(pixels.Affine(2, -1), _random, cancellation);
        int count = Resolved.Request.Count;
        return scope.Keep(latents.Shape[0] == count ? latents : latents.Expand(0, count).Clone());
    }

    /// <summary>The initial image, [1 or count, height, width, 3], values from 0 to 1.</summary>
    private Tensor PixelsOf(InputImages images) => images.InitialTensor
        ?? _repainting?.Picture?.ToTensor(_model.Latents.Device) ?? Pixels(images.Initial!);

    /// <summary>A picture at the size that is made, values from 0 to 1.</summary>
    private Tensor Pixels(Image image) =>
        image.WithoutAlpha().Resize(Resolved.Size.Width, Resolved.Size.Height).ToTensor(_model.Latents.Device);

    /// <summary>What was made, in the whole picture of which it is a part.</summary>
    private Tensor Whole(Tensor pixels) => _repainting?.Finish(pixels) ?? pixels;

    /// <summary>Decoded values around [-1, 1] as values from 0 to 1.</summary>
    private static Tensor Finished(Tensor pixels, Tensor latents)
    {
        Finite.CheckDecoded(pixels, latents);
        return TensorScope.Detach(pixels.Affine(0.5f, 0.5f).Clamp(0, 1));
    }

    private static void Replace(ref Tensor? field, Tensor? value)
    {
        field?.Dispose();
        field = value == null ? null : TensorScope.Detach(value);
    }
}

using System.Diagnostics;
using Attune.Imaging;
using Attune.Generation;

namespace Attune.Evaluation.Experiments;

/// <summary>How far a run is.</summary>
/// <param name="Done">The pictures of this part that are there, those of earlier runs too.</param>
/// <param name="Total">The pictures of this part.</param>
/// <param name="Record">What was made last; null at the beginning.</param>
public readonly record struct ExperimentProgress(int Done, int Total, ExperimentRecord? Record);

/// <summary>
/// Makes and judges the pictures of an experiment, one part of it or all. Each picture is one line of a file, written before the next is
/// made, so that a run that was stopped goes on where it was. All methods at one prompt, seed and number of steps follow each other, the
/// baseline first and the others in turns, so that a machine that gets slower does so for all of them alike.
/// </summary>
public sealed class ExperimentRunner
{
    /// <summary>The index of the baseline among the variants.</summary>
    private const int Baseline = 0;

    private readonly ExperimentPlan _plan;
    private readonly DiffusionPipeline _pipeline;
    private readonly IPictureReader _reader;

    /// <summary>Prepares a run. Pipeline and reader belong to the caller.</summary>
    /// <param name="plan">The experiment, checked against the others.</param>
    /// <param name="pipeline">The model.</param>
    /// <param name="reader">The judge.</param>
    public ExperimentRunner(ExperimentPlan plan, DiffusionPipeline pipeline, IPictureReader reader)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(pipeline);
        ArgumentNullException.ThrowIfNull(reader);
        (_plan, _pipeline, _reader) = (plan, pipeline, reader);
    }

    /// <summary>The file of a kept picture, in the folder of the records.</summary>
    internal static string PictureFile(int prompt, int steps, int variant) =>
        FormattableString.Invariant($"pictures/prompt-{prompt:000}-steps-{steps:00}-method-{variant:00}.png");

    /// <summary>Fails when a folder holds records of another experiment, before anything is written to it.</summary>
    /// <exception cref="FormatException">It does, or it holds damaged ones.</exception>
    public void CheckFolder(string folder) =>
        RecordFiles.Check(RecordFiles.Read(folder), _plan.Experiment, _plan.FingerprintText);

    /// <summary>Does what is not yet done.</summary>
    /// <param name="folder">Where the records are, and <c>pictures/</c>; made if it does not exist.</param>
    /// <param name="shard">The part.</param>
    /// <param name="prompts">The number of prompts, from the first; null for all.</param>
    /// <param name="progress">Receives how far the run is: once before the first picture, then after each.</param>
    /// <param name="cancellation">Stops the run within a picture, which is then not recorded.</param>
    /// <exception cref="FormatException">The folder holds records of another experiment, or damaged ones.</exception>
    /// <exception cref="IOException">A file cannot be read or written; another process may be doing the same part.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public async Task RunAsync(
        string folder, Shard shard, int? prompts = null, Action<ExperimentProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var experiment = _plan.Experiment;
        CheckFolder(folder);
        Directory.CreateDirectory(Path.Combine(folder, "pictures"));
        string file = Path.Combine(folder, shard.FileName);
        using var claim = RecordFiles.Claim(file);
        var files = RecordFiles.Read(folder);
        var known = RecordFiles.Merge(files).Select(record => record.Key).ToHashSet();
        var header = new RecordHeader(
            _plan.FingerprintText, Fingerprint.Of(experiment), experiment.Name,
            Path.GetFileName(Path.TrimEndingDirectorySeparator(experiment.Model)), _pipeline.Device.Description);
        using var writer = new RecordWriter(file, files.FirstOrDefault(other => other.Path == file), header);

        var items = ExperimentPlan.Items(experiment, shard, prompts);
        var (done, total) = (0, _plan.Count(shard, prompts));
        bool warm = false;
        foreach (var item in items)
        {
            foreach (int index in _plan.Order(item))
            {
                var variant = _plan.Variants[index];
                if (known.Contains((variant.Method.Name, variant.Scale, item.Steps, item.Prompt, item.Seed)))
                    done++;
            }
        }
        progress?.Invoke(new ExperimentProgress(done, total, null));
        foreach (var item in items)
        {
            Image? baseline = null;
            foreach (int index in _plan.Order(item))
            {
                var variant = _plan.Variants[index];
                if (known.Contains((variant.Method.Name, variant.Scale, item.Steps, item.Prompt, item.Seed)))
                    continue;
                if (!warm)
                    // the first picture of a process is slow: code is compiled, weights are read from disk
                    await MakeAsync(item, index, cancellation).ConfigureAwait(false);
                warm = true;
                var (picture, seconds, whole) = await MakeAsync(item, index, cancellation).ConfigureAwait(false);
                if (_reader.ComparesWithBaseline && baseline == null)
                {
                    // Of an earlier run there is the record alone: its picture is made again.
                    baseline = index == Baseline ? picture
                        : (await MakeAsync(item, Baseline, cancellation).ConfigureAwait(false)).Picture;
                }
                var reading = await Task.Run(() => _reader.Read(picture, experiment.Prompts[item.Prompt], baseline), cancellation)
                    .ConfigureAwait(false);
                if (item.Prompt < experiment.Pictures && item.Seed == experiment.SeedOf(item.Prompt, 0))
                    Png.Save(picture, Path.Combine(folder, PictureFile(item.Prompt, item.Steps, index)));
                var record = new ExperimentRecord(
                    variant.Method.Name, variant.Scale, item.Steps, item.Prompt, item.Seed, seconds, whole, writer.Session, reading);
                writer.Add(record);
                progress?.Invoke(new ExperimentProgress(++done, total, record));
            }
        }
    }

    private async Task<(Image Picture, double Seconds, double Total)> MakeAsync(WorkItem item, int index, CancellationToken cancellation)
    {
        var request = _plan.RequestFor(item, index);
        var watch = Stopwatch.StartNew();
        await foreach (var step in _pipeline.DenoiseAsync(request, cancellation: cancellation).ConfigureAwait(false))
        {
            if (!step.IsLast)
                continue;
            double total = watch.Elapsed.TotalSeconds;
            return ((await step.DecodeAsync(cancellation).ConfigureAwait(false))[0], step.Denoising.TotalSeconds, total);
        }
        throw new InvalidOperationException($"{_pipeline.Facts.ClassName} ended without a last step.");
    }
}

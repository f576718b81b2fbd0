using System.Globalization;
using System.Text.Json.Nodes;
using Attune.Generation;
using Attune.Imaging;
using Attune.Schedulers;
using Attune.Server.Engine;
using Attune.Server.Hosting;
using Attune.Server.Requests;
using Attune.Weights;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Attune.Server.Sd;

/// <summary>What clients call of the API of AUTOMATIC1111's web UI (commit 0050a35).</summary>
/// <param name="models">The models.</param>
/// <param name="reader">Reads requests.</param>
/// <param name="board">Takes the jobs.</param>
/// <param name="pool">Says which samplers fit.</param>
/// <param name="settings">Limits, and LoRA files by name.</param>
internal sealed class SdEndpoints(ModelCatalog models, SdFields reader, JobBoard board, ModelPool pool, ServerSettings settings)
{
    /// <summary>Where it is.</summary>
    public const string Root = "/sdapi/v1";

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost($"{Root}/txt2img", context => GenerateAsync(context, withPicture: false));
        routes.MapPost($"{Root}/img2img", context => GenerateAsync(context, withPicture: true));
        routes.MapGet($"{Root}/progress", ProgressAsync);
        routes.MapPost($"{Root}/interrupt", InterruptAsync);
        routes.MapPost($"{Root}/skip", InterruptAsync);
        routes.MapGet($"{Root}/options", OptionsAsync);
        routes.MapPost($"{Root}/options", ChangeAsync);
        routes.MapGet($"{Root}/sd-models", context => WriteAsync(context, new JsonArray([.. models.All.Select(Describe)])));
        routes.MapGet($"{Root}/samplers", context => WriteAsync(context, Samplers()));
        routes.MapGet($"{Root}/schedulers", context => WriteAsync(context, Spacings()));
        routes.MapGet($"{Root}/loras", context => WriteAsync(
            context, new JsonArray([.. settings.Loras.Keys.Select(name => new JsonObject { ["name"] = name, ["alias"] = name })])));
        foreach (string name in (string[])["upscalers", "latent-upscale-modes", "sd-vae", "embeddings", "hypernetworks"])
            routes.MapGet($"{Root}/{name}", context => WriteAsync(context, name == "embeddings" ? new JsonObject() : new JsonArray()));
        routes.MapPost($"{Root}/png-info", PngInfoAsync);
    }

    private static Task WriteAsync(HttpContext context, JsonNode answer)
    {
        context.Response.ContentType = "application/json; charset=utf-8";
        return context.Response.WriteAsync(answer.ToJsonString(ServerJson.Answers.Options), context.RequestAborted);
    }

    private async Task GenerateAsync(HttpContext context, bool withPicture)
    {
        var sent = await Body.ReadJsonAsync(context, settings.Limits.UploadBytes).ConfigureAwait(false);
        var (request, notes, scale) = reader.Read(sent, withPicture);
        var job = await board.SubmitAsync(request, context.Lane(), context.RequestAborted).ConfigureAwait(false);
        foreach (string note in notes)
            job.Warn(note);
        try
        {
            await job.Completion.WaitAsync(context.RequestAborted).ConfigureAwait(false);
        }
        finally
        {
            if (!job.IsOver)
                await board.CancelAsync(job).ConfigureAwait(false);
        }
        if (job.Failure is { } failure)
            throw failure;
        // Who interrupts gets what is made.
        await WriteAsync(
            context,
            new JsonObject
            {
                ["images"] = new JsonArray([.. job.Pictures.Select(picture => JsonValue.Create(Convert.ToBase64String(picture.Bytes)))]),
                ["parameters"] = JsonNode.Parse(request.Describe()),
                ["info"] = InfoOf(job, scale).ToJsonString(ServerJson.Answers.Options),
            }).ConfigureAwait(false);
    }

    /// <summary>What clients read of a picture's making.</summary>
    private static JsonObject InfoOf(Job job, double scale)
    {
        var asked = job.Request.Request;
        var pictures = job.Pictures;
        var made = pictures.Count > 0 ? JsonNode.Parse(pictures[0].Parameters)! : new JsonObject();
        return new JsonObject
        {
            ["prompt"] = asked.Prompt,
            ["all_prompts"] = new JsonArray([.. pictures.Select(_ => JsonValue.Create(asked.Prompt))]),
            ["negative_prompt"] = asked.NegativePrompt ?? "",
            ["seed"] = asked.Seed,
            ["all_seeds"] = new JsonArray([.. pictures.Select(picture => JsonValue.Create(picture.Seed))]),
            ["width"] = pictures.Count > 0 ? pictures[0].Width : 0,
            ["height"] = pictures.Count > 0 ? pictures[0].Height : 0,
            ["steps"] = made["steps"]?.DeepClone(),
            ["sampler_name"] = asked.Scheduler?.ToString() ?? job.Request.Model.Scheduler,
            ["cfg_scale"] = scale,
            ["guidance"] = made["guidance"]?.DeepClone(),
            ["sd_model_name"] = job.Request.Model.Name,
            ["sd_model_hash"] = job.Request.Model.Identity.Hash[..10],
            ["infotexts"] = new JsonArray([.. pictures.Select(InfotextOf)]),
            ["warnings"] = new JsonArray([.. job.Warnings.Select(text => JsonValue.Create(text))]),
            ["version"] = $"Attune {PictureTexts.Version}",
        };
    }

    private static JsonNode? InfotextOf(Picture picture) => JsonValue.Create(
        Png.ReadTexts(picture.Bytes, "picture").FirstOrDefault(text => text.Key == PictureTexts.CommonKeyword).Value ?? "");

    /// <summary>The jobs that the same key began here.</summary>
    private IEnumerable<Job> Own(HttpContext context) =>
        board.Live.Where(job => job.Request.IsOfSd && job.Lane == context.Lane());

    private Task ProgressAsync(HttpContext context)
    {
        var running = Own(context).FirstOrDefault(job => job.Status == JobStatus.Running);
        var step = running?.LastStep;
        int done = running?.Next ?? 0, count = running?.Request.Count ?? 0;
        double part = step != null && step.Image == done ? (double)step.Index / step.Count : 0;
        return WriteAsync(
            context,
            new JsonObject
            {
                ["progress"] = count == 0 ? 0 : Math.Min((done + part) / count, 1),
                ["eta_relative"] = 0,
                ["state"] = new JsonObject
                {
                    ["skipped"] = false,
                    ["interrupted"] = false,
                    ["job"] = running == null ? "" : "txt2img",
                    ["job_count"] = Own(context).Sum(job => job.Remaining),
                    ["job_timestamp"] = running?.Created.ToString("yyyyMMddHHmmss", CultureInfo.InvariantCulture) ?? "0",
                    ["job_no"] = done,
                    ["sampling_step"] = step?.Index ?? 0,
                    ["sampling_steps"] = step?.Count ?? 0,
                },
                ["current_image"] = null,
                ["textinfo"] = null,
            });
    }

    private async Task InterruptAsync(HttpContext context)
    {
        foreach (var job in Own(context).Where(job => job.Status == JobStatus.Running).ToArray())
            await board.CancelAsync(job).ConfigureAwait(false);
        await WriteAsync(context, new JsonObject()).ConfigureAwait(false);
    }

    private Task OptionsAsync(HttpContext context) => WriteAsync(
        context, new JsonObject { ["sd_model_checkpoint"] = TitleOf(models.Default), ["samples_format"] = "png" });

    /// <summary>Clients post the whole object back: it may name the model that is there; another one a request names for itself.</summary>
    private async Task ChangeAsync(HttpContext context)
    {
        var sent = await Body.ReadJsonAsync(context, settings.Limits.BodyBytes).ConfigureAwait(false);
        string? name = SdFields.Checkpoint(sent.Take("sd_model_checkpoint")?.Text());
        if (name != null && models.Find(name) != models.Default)
        {
            throw ApiException.Refused(
                StatusCodes.Status403Forbidden, "forbidden",
                "Clients may not switch the model of all; name it in override_settings.sd_model_checkpoint.");
        }
        await WriteAsync(context, new JsonObject()).ConfigureAwait(false);
    }

    private static string TitleOf(ModelInfo model) => $"{model.Name} [{model.Identity.Hash[..10]}]";

    private static JsonNode Describe(ModelInfo model) => new JsonObject
    {
        ["title"] = TitleOf(model),
        ["model_name"] = model.Name,
        ["hash"] = model.Identity.Hash[..10],
        ["sha256"] = null,
        ["filename"] = model.Name,
        ["config"] = null,
    };

    /// <summary>The samplers that fit the default model: its own, and those with the names of this API.</summary>
    private JsonArray Samplers()
    {
        using var lease = pool.TryAcquire(new ModelVariant(models.Default, []));
        bool Fits(string name)
        {
            try
            {
                lease?.Pipeline.Resolve(new GenerationRequest { Prompt = "", Scheduler = SchedulerChoice.Parse(name, files: false) });
                return true;
            }
            catch (Exception exception) when (exception is ArgumentException or CheckpointException)
            {
                return false;
            }
        }
        return new JsonArray(
            [
                .. SchedulerChoice.SamplerNames.Where(Fits).Prepend(models.Default.Scheduler).Select(name => new JsonObject
                {
                    ["name"] = name, ["aliases"] = new JsonArray(), ["options"] = new JsonObject(),
                }),
            ]);
    }

    private static JsonArray Spacings() => new(
        [
            .. SchedulerChoice.SpacingNames.Prepend("automatic").Select(name => new JsonObject
            {
                ["name"] = name, ["label"] = name, ["aliases"] = new JsonArray(),
            }),
        ]);

    private async Task PngInfoAsync(HttpContext context)
    {
        var sent = await Body.ReadJsonAsync(context, settings.Limits.UploadBytes).ConfigureAwait(false);
        var field = sent.Take("image") ?? throw ApiException.Invalid("image", "Missing required parameter: 'image'.");
        var picture = Body.DataPicture("image", field.Text(), settings.Limits);
        var texts = Jobs.PictureTextsAnswer.Of(picture.Bytes).Texts;
        string info = texts.FirstOrDefault(text => text.Keyword == PictureTexts.CommonKeyword)?.Text ?? "";
        var items = new JsonObject();
        foreach (var text in texts)
            items[text.Keyword] = text.Text;
        await WriteAsync(context, new JsonObject { ["info"] = info, ["items"] = items, ["parameters"] = new JsonObject() })
            .ConfigureAwait(false);
    }
}

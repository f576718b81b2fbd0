using Attune.Generation;
using Attune.Guidance;
using Attune.Server.Engine;
using Attune.Server.Hosting;
using Attune.Server.OpenAi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Attune.Server.Jobs;

/// <summary>What the server has and does: models, rules of guidance, options, the queue.</summary>
/// <param name="models">The models.</param>
/// <param name="pool">Those in memory.</param>
/// <param name="queue">What waits.</param>
/// <param name="board">What runs.</param>
/// <param name="settings">The limits.</param>
internal sealed class StatusEndpoints(ModelCatalog models, ModelPool pool, JobQueue queue, JobBoard board, ServerSettings settings)
{
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/api/status", StatusAsync);
        routes.MapGet("/api/models", ModelsAsync);
        routes.MapGet("/api/guidance", RulesAsync);
        routes.MapGet("/api/presets", FamiliesAsync);
        routes.MapGet("/api/options", OptionsAsync);
    }

    private Task StatusAsync(HttpContext context) => Answers.WriteAsync(
        context,
        new StatusAnswer(
            PictureTexts.Version, queue.Length, settings.Limits.Queue, board.Live.Count(job => job.Status == JobStatus.Running), pool.Names,
            models.Default.Name, settings.Store != null),
        ServerJson.Answers.StatusAnswer);

    private Task ModelsAsync(HttpContext context) => Answers.WriteAsync(
        context, new ListAnswer<ModelAnswer>([.. models.All.Select(model => ModelAnswer.Of(model, settings.Limits))]),
        ServerJson.Answers.ListAnswerModelAnswer);

    private static Task RulesAsync(HttpContext context) => Answers.WriteAsync(
        context,
        new ListAnswer<RuleAnswer>([.. RuleCatalog.Rules.Select(RuleAnswer.Of)]),
        ServerJson.Answers.ListAnswerRuleAnswer);

    private static Task FamiliesAsync(HttpContext context) => Answers.WriteAsync(
        context,
        new ListAnswer<FamilyAnswer>([.. GuidancePresets.Families.Select(family => FamilyAnswer.Of(GuidancePresets.For(family)))]),
        ServerJson.Answers.ListAnswerFamilyAnswer);

    private static Task OptionsAsync(HttpContext context) => Answers.WriteAsync(
        context,
        new ListAnswer<OptionAnswer>(
            [
                .. OptionCatalog.All.Where(option => option.Kind != OptionKind.File && !option.IsShorthand)
                    .Select(option => new OptionAnswer(
                    option.Key, option.Kind.ToString().ToLowerInvariant(), option.Range?.ToString(), option.ModelOption?.Replace('-', '_'),
                    option.Description)),
            ]),
        ServerJson.Answers.ListAnswerOptionAnswer);
}

/// <summary>What the server does.</summary>
internal sealed record StatusAnswer(
    string Version, int Queue, int QueueLimit, int Running, IReadOnlyList<string> ModelsInMemory, string DefaultModel, bool Keeps);

/// <summary>An option of requests.</summary>
internal sealed record OptionAnswer(string Key, string Kind, string? Range, string? Takes, string Description);

using Attune.Guidance;
using Attune.Models;

namespace Attune.Generation;

/// <summary>Checks a request against a model.</summary>
internal static class RequestChecks
{
    /// <summary>Checks what does not depend on defaults.</summary>
    /// <exception cref="ArgumentException">A value is out of range, or the model does not take it; the message names it.</exception>
    public static void Check(GenerationRequest request, FamilyFacts facts)
    {
        foreach (var option in OptionCatalog.All)
        {
            if (option.ModelOption is { } taken && !facts.Takes(taken) && option.IsGiven(request))
                throw Refused(option.Property, facts, taken);
            option.CheckRange(request);
        }
        var images = request.Images;
        foreach (var (name, given, taken) in new[]
        {
            ("Images.Initial", images.HasInitial, ModelOption.Image), ("Images.Mask", images.Mask != null, ModelOption.Mask),
            ("Images.References", images.References.Count > 0, ModelOption.References),
            ("Images.Control", images.Control.Count > 0, ModelOption.Control),
        })
        {
            if (given && !facts.Takes(taken))
                throw Refused(name, facts, taken);
        }
        if (images.Initial != null && images.InitialTensor != null)
            throw new ArgumentException("Images.Initial and Images.InitialTensor are given; expected one of them.", nameof(request));
        if (images.InitialTensor?.Shape is { } image
            && (image.Rank != 4 || image[3] != 3 || (image[0] != 1 && image[0] != request.Count)))
        {
            throw new ArgumentException(
                $"Images.InitialTensor is {image}, expected [1 or {request.Count}, height, width, 3].", nameof(request));
        }
        if (facts.BeginsWithImage && !images.HasInitial)
        {
            throw new ArgumentException(
                $"Images.Initial is missing: {facts.ClassName} makes a video of a picture, its first frame.", nameof(request));
        }
        if (facts.ImageIsFirstFrame && images.Strength != null)
        {
            throw new ArgumentException(
                $"Strength: {facts.ClassName} does not take it, since the picture is the video's first frame.", nameof(request));
        }
        CheckPictures(images, facts);
        if (images.Strength != null && !images.HasInitial)
            throw new ArgumentException("Strength is given without an initial image.", nameof(request));
        if (request.Timesteps != null && request.Sigmas != null)
            throw new ArgumentException("Timesteps and Sigmas are given; expected one of them.", nameof(request));
        if (request.Timesteps is { } timesteps && request.Steps is { } steps && steps != timesteps.Count)
            throw new ArgumentException($"Steps is {steps}, but there are {timesteps.Count} Timesteps.", nameof(request));
        if (request.Sigmas is { } sigmas && request.Steps is { } count && count != sigmas.Count)
            throw new ArgumentException($"Steps is {count}, but there are {sigmas.Count} Sigmas.", nameof(request));
    }

    /// <summary>Checks that what a model needs is there, and that pictures go together.</summary>
    private static void CheckPictures(InputImages images, FamilyFacts facts)
    {
        static ArgumentException Wrong(string message) => new(message);
        string name = facts.ClassName;
        if (facts.ReadsMask && (!images.HasInitial || images.Mask == null))
        {
            throw Wrong(
                $"Images.{(images.HasInitial ? "Mask" : "Initial")} is missing: {name} makes a part of a picture anew, which a mask says.");
        }
        if (images.Mask != null && !images.HasInitial)
            throw Wrong("Images.Mask is given without an initial image.");
        if (images.MaskPadding != null && images.Mask == null)
            throw Wrong("Images.MaskPadding is given without a mask.");
        if (images.MaskPadding is { } padding)
        {
            if (padding < 0)
                throw Wrong($"Images.MaskPadding is {padding}, expected 0 or more pixels.");
            if (images.Initial is not { } whole)
                throw Wrong("Images.MaskPadding goes with Images.Initial, not with a tensor.");
            if ((whole.Width, whole.Height) != (images.Mask!.Width, images.Mask.Height))
            {
                throw Wrong(
                    $"Images.Mask has {images.Mask.Width} x {images.Mask.Height} pixels, expected {whole.Width} x {whole.Height} as "
                        + "Images.Initial has, since Images.MaskPadding cuts out a part of both.");
            }
        }
        if (facts.NeedsControl && images.Control.Count == 0)
            throw Wrong($"Images.Control is missing: {name} makes a picture after a control picture, as a depth map.");
        if (images.Control.Count > 1)
            throw Wrong($"Images.Control has {images.Control.Count} pictures, expected one.");
        if (images.References.Count < facts.FewestReferences)
            throw Wrong($"Images.References is empty: {name} edits a picture, which is its reference.");
        if (images.Mask == null
            && images.References.FirstOrDefault(image => Math.Min(image.Width, image.Height) < facts.SmallestReference) is { } small)
        {
            throw Wrong(
                $"A reference image has {small.Width} x {small.Height} pixels; {name} takes no side below {facts.SmallestReference}.");
        }
        if (images.References.Count > facts.MostReferences)
            throw Wrong($"Images.References has {images.References.Count} pictures, expected {facts.MostReferences} at most for {name}.");
    }

    /// <summary>Checks the size once it is known.</summary>
    /// <exception cref="ArgumentException">It does not fit the model or the initial image.</exception>
    public static void CheckSize(GenerationRequest request, int multiple)
    {
        foreach (var (name, value) in new[] { ("Width", request.Width!.Value), ("Height", request.Height!.Value) })
        {
            if (value <= 0 || value % multiple != 0)
                throw new ArgumentException($"{name} is {value} pixels, expected a positive multiple of {multiple}.", nameof(request));
        }
        if (request.Images.InitialTensor?.Shape is { } image && (image[1] != request.Height || image[2] != request.Width))
        {
            throw new ArgumentException(
                $"Images.InitialTensor is {image}, expected a height of {request.Height} and a width of {request.Width}.", nameof(request));
        }
    }

    /// <summary>Checks the number of frames once it is known.</summary>
    /// <exception cref="ArgumentException">It does not fit the model.</exception>
    public static void CheckFrames(GenerationRequest request, FamilyFacts facts, int multiple)
    {
        if (request.Frames is not { } frames)
            return;
        if (frames == 1 && facts.KeepsFirstFrame && request.Images.HasInitial)
        {
            throw new ArgumentException(
                "Frames is 1, expected more: the picture is the first frame, and nothing is left.", nameof(request));
        }
        if ((frames - 1) % multiple == 0)
            return;
        int below = (frames - 1) / multiple * multiple + 1;
        throw new ArgumentException(
            $"Frames is {frames}, expected one more than a multiple of {multiple}, as {below} or {below + multiple}.", nameof(request));
    }

    /// <summary>Checks that no rule speaks of a network that the model does not have.</summary>
    /// <exception cref="ArgumentException">One does; the message names it.</exception>
    public static void CheckExperts(GuidanceSchedule guidance, int experts)
    {
        if (experts == 1 && guidance.Rules.OfType<ClassifierFreeGuidance>().FirstOrDefault(rule => rule.Scale2 != null) is { } cfg)
        {
            throw new ArgumentException(
                FormattableString.Invariant($"{cfg.Form.Name}: scale_2 is {cfg.Scale2}, but the model has one network for all noise ")
                    + "levels, expected none: models with a network for high and one for low noise (Wan 2.2) have a second scale.");
        }
    }

    private static ArgumentException Refused(string name, FamilyFacts facts, string option) => new(
        $"{name}: {facts.ClassName} does not take it"
            + (option == ModelOption.GuidanceScale
                ? ", since the model embeds no guidance scale; the rule cfg is classifier-free guidance." : "."));
}

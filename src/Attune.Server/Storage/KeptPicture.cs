using Attune.Server.Engine;

namespace Attune.Server.Storage;

/// <summary>Kept pictures as jobs have them: without their bytes, which are in a file.</summary>
internal static class KeptPicture
{
    public static Picture Of(StoredPicture picture) => new(
        picture.Id, picture.Index, picture.Seed, picture.Width, picture.Height, [], new PictureFormat(picture.Format), picture.Parameters);
}

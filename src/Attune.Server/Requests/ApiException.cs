using Microsoft.AspNetCore.Http;

namespace Attune.Server.Requests;

/// <summary>What a request is answered with instead of pictures; its message is for the client, and names no path of the server.</summary>
internal sealed class ApiException : Exception
{
    private ApiException(int status, string type, string code, string message, string? parameter, Exception? cause = null)
        : base(message, cause) => (Status, Type, Code, Parameter) = (status, type, code, parameter);

    public int Status { get; }

    public string Type { get; }

    public string Code { get; }

    /// <summary>The field that is wrong.</summary>
    public string? Parameter { get; }

    /// <summary>Whole seconds after which the request may be sent again; null for never.</summary>
    public int? RetryAfter { get; private init; }

    /// <summary>A value that is not taken, however often it is sent.</summary>
    public static ApiException Invalid(string? parameter, string message, string code = "invalid_value", Exception? cause = null) =>
        new(StatusCodes.Status400BadRequest, "invalid_request_error", code, message, parameter, cause);

    public static ApiException NotFound(string message, string code = "not_found", string? parameter = null) =>
        new(StatusCodes.Status404NotFound, "invalid_request_error", code, message, parameter);

    public static ApiException Refused(int status, string code, string message) =>
        new(status, "invalid_request_error", code, message, null);

    /// <summary>The queue is full of the client's own requests.</summary>
    public static ApiException TooMany(string message, TimeSpan wait) =>
        new(StatusCodes.Status429TooManyRequests, "rate_limit_error", "rate_limit_exceeded", message, null) { RetryAfter = Whole(wait) };

    /// <summary>The server cannot take the request now.</summary>
    /// <param name="code">overloaded, not_ready or shutting_down.</param>
    /// <param name="message">What is the matter.</param>
    /// <param name="wait">When it may be otherwise.</param>
    /// <param name="cause">Why.</param>
    public static ApiException Unavailable(string code, string message, TimeSpan wait, Exception? cause = null) =>
        new(StatusCodes.Status503ServiceUnavailable, "server_error", code, message, null, cause) { RetryAfter = Whole(wait) };

    /// <summary>What another machine answered.</summary>
    public static ApiException Again(int status, ApiError error) => new(status, error.Type, error.Code, error.Message, error.Param)
    {
        RetryAfter = status == StatusCodes.Status503ServiceUnavailable ? Whole(TimeSpan.FromSeconds(30)) : null,
    };

    /// <summary>A limit of time was reached.</summary>
    public static ApiException Timeout(string message) =>
        new(StatusCodes.Status504GatewayTimeout, "server_error", "timeout", message, null);

    /// <summary>Something that is no fault of the request.</summary>
    public static ApiException Internal(string message = "The server made a mistake; its log says which.", Exception? cause = null) =>
        new(StatusCodes.Status500InternalServerError, "server_error", "internal_error", message, null, cause);

    /// <summary>The same as it is kept with a job.</summary>
    public ApiError Error => new(Message, Type, Parameter, Code);

    /// <summary>Clients wait for what the header says from 0 to 60 seconds; some ignore more.</summary>
    private static int Whole(TimeSpan wait) => (int)Math.Clamp(Math.Ceiling(wait.TotalSeconds), 1, 60);
}

/// <summary>The error of an answer; all four members are always there, since clients show nothing of one that is otherwise.</summary>
internal sealed record ApiError(string Message, string Type, string? Param, string Code);
